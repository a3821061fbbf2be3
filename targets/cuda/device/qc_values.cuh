// Elements in memory ↔ values in registers, and the arithmetic of the generated element-wise code.
//
// A format says how wide an element is and what value its bits stand for. `Run` is LANES neighbours as
// they were read, still packed; `Each` is LANES values read one by one. Both give lane i by [i]. Addresses
// are in elements; an address that a 4-bit run begins at is even.
#pragma once
#include "qc_device.cuh"

namespace qc {

// ---- formats: BITS wide, held as Value, lane i of packed words

template <bool SIGNED>
struct Nibble {
    static constexpr int BITS = 4;
    using Value = int;
    static int get(const unsigned* word, int i) {
        const unsigned up = word[i / 8] << (28 - i % 8 * 4);
        return SIGNED ? (int)up >> 28 : (int)(up >> 28);
    }
};
// Byte i of a word, with its sign or with zeros above. The inner ones take one permutation of bytes,
// which the compiler does not find.
template <bool SIGNED>
unsigned widened(unsigned word, int i) {
#ifndef QC_EMU
    if (i % 3) {
        const int selector = SIGNED ? i * 0x1111 | 0x8880 : i | 0x4440;
        unsigned value;
        asm("prmt.b32 %0,%1,0,%2;" : "=r"(value) : "r"(word), "r"(selector));
        return value;
    }
#endif
    const unsigned up = word << (24 - i * 8);
    return SIGNED ? (unsigned)((int)up >> 24) : up >> 24;
}

template <bool SIGNED>
struct Byte {
    static constexpr int BITS = 8;
    using Value = int;
    static int get(const unsigned* word, int i) { return (int)widened<SIGNED>(word[i / 4], i % 4); }
};
template <bool SIGNED>
struct Half {
    static constexpr int BITS = 16;
    using Value = int;
    static int get(const unsigned* word, int i) {
        const unsigned up = word[i / 2] << (16 - i % 2 * 16);
        return SIGNED ? (int)up >> 16 : (int)(up >> 16);
    }
};
struct i32 {
    static constexpr int BITS = 32;
    using Value = int;
    static int get(const unsigned* word, int i) { return (int)word[i]; }
};
struct f32 {
    static constexpr int BITS = 32;
    using Value = float;
    static float get(const unsigned* word, int i) { return __uint_as_float(word[i]); }
};
struct i64 {
    static constexpr int BITS = 64;
    using Value = long long;
    static long long get(const unsigned* word, int i) {
        return (long long)((unsigned long long)word[2 * i + 1] << 32 | word[2 * i]);
    }
};
using u4 = Nibble<false>;
using i4 = Nibble<true>;
using u8 = Byte<false>;
using i8 = Byte<true>;
using u16 = Half<false>;
using i16 = Half<true>;

// ---- reading

template <int BYTES>
struct Piece;
template <>
struct Piece<16> {
    using type = uint4;
};
template <>
struct Piece<8> {
    using type = uint2;
};
template <>
struct Piece<4> {
    using type = unsigned;
};
template <>
struct Piece<2> {
    using type = unsigned short;
};
template <>
struct Piece<1> {
    using type = unsigned char;
};

template <class Format>
const unsigned char* address(const void* array, long long at) {
    return (const unsigned char*)array + (Format::BITS == 4 ? at >> 1 : at * (Format::BITS / 8));
}
template <class Format>
unsigned char* address(void* array, long long at) {
    return (unsigned char*)array + (Format::BITS == 4 ? at >> 1 : at * (Format::BITS / 8));
}

// An access of BYTES bytes at once: the GPU stops at an address that is no multiple of them.
template <int BYTES>
typename Piece<BYTES>::type* pieces(const unsigned char* from) {
#ifdef QC_EMU
    if ((unsigned long long)from % BYTES) __trap();
#endif
    return (typename Piece<BYTES>::type*)from;
}

template <class Format, int LANES>
struct Run {
    static constexpr int BYTES = LANES * Format::BITS / 8;
    static constexpr int WORDS = (BYTES + 3) / 4;
    unsigned word[WORDS];
    typename Format::Value operator[](int i) const { return Format::get(word, i); }
};

template <class Format, int LANES>
struct Each {
    typename Format::Value value[LANES];
    typename Format::Value operator[](int i) const { return value[i]; }
};

inline void put_piece(unsigned* word, uint4 piece) {
    word[0] = piece.x, word[1] = piece.y, word[2] = piece.z, word[3] = piece.w;
}
inline void put_piece(unsigned* word, uint2 piece) { word[0] = piece.x, word[1] = piece.y; }
inline void put_piece(unsigned* word, unsigned piece) { word[0] = piece; }

// LANES neighbours, in accesses of BYTES bytes; the first begins at a multiple of them.
template <class Format, int LANES, int BYTES>
Run<Format, LANES> load(const void* array, long long at) {
    Run<Format, LANES> run;
    const auto* from = pieces<BYTES>(address<Format>(array, at));
#pragma unroll
    for (int i = 0; i < Run<Format, LANES>::BYTES / BYTES; ++i) put_piece(run.word + i * BYTES / 4, from[i]);
    return run;
}

// One element.
template <class Format>
typename Format::Value element(const void* array, long long at) {
    const unsigned char* from = address<Format>(array, at);
    if (Format::BITS == 4) {
        const unsigned word = (unsigned)*from >> ((int)at & 1) * 4;
        return Format::get(&word, 0);
    }
    unsigned word[2];
    if (Format::BITS == 8) word[0] = *from;
    if (Format::BITS == 16) word[0] = *(const unsigned short*)from;
    if (Format::BITS == 32) word[0] = *(const unsigned*)from;
    if (Format::BITS == 64) put_piece(word, *(const uint2*)from);
    return Format::get(word, 0);
}

// LANES elements, `step` apart.
template <class Format, int LANES>
Each<Format, LANES> gather(const void* array, long long at, long long step) {
    Each<Format, LANES> each;
#pragma unroll
    for (int i = 0; i < LANES; ++i) each.value[i] = element<Format>(array, at + i * step);
    return each;
}

// The first `count` of LANES elements; 0 for the others, which are not touched.
template <class Format, int LANES>
Each<Format, LANES> gather(const void* array, long long at, long long step, int count) {
    Each<Format, LANES> each;
#pragma unroll
    for (int i = 0; i < LANES; ++i) each.value[i] = i < count ? element<Format>(array, at + i * step) : 0;
    return each;
}

// The elements at places that are looked up.
template <class Format, int LANES, class Places>
Each<Format, LANES> gather_at(const void* array, long long at, const Places& places) {
    Each<Format, LANES> each;
#pragma unroll
    for (int i = 0; i < LANES; ++i) each.value[i] = element<Format>(array, at + places[i]);
    return each;
}

// ---- packing

// Two integers held to a narrow range, the first in the low bits; the low bits of `above` go on top.
#define QC_PACK(name, type, bits, lo, hi)                                                                 \
    inline unsigned name(int first, int second, unsigned above) {                                         \
        QC_PACK_BODY(type, bits, lo, hi)                                                                  \
    }
#ifdef QC_EMU
#define QC_PACK_BODY(type, bits, lo, hi)                                                                  \
    const unsigned mask = (1u << bits) - 1;                                                               \
    const unsigned low = (unsigned)max(lo, min(hi, first)), high = (unsigned)max(lo, min(hi, second));    \
    return (low & mask) | (high & mask) << bits | above << 2 * bits;
#else
#define QC_PACK_BODY(type, bits, lo, hi)                                                                  \
    unsigned packed;                                                                                      \
    asm("cvt.pack.sat." type ".s32.b32 %0,%1,%2,%3;" : "=r"(packed) : "r"(second), "r"(first), "r"(above)); \
    return packed;
#endif
QC_PACK(pack_u8, "u8", 8, 0, 255)
QC_PACK(pack_i8, "s8", 8, -128, 127)
QC_PACK(pack_u4, "u4", 4, 0, 15)
QC_PACK(pack_i4, "s4", 4, -8, 7)

template <class Format>
struct Held;  // values beyond the format's range go to its ends
template <>
struct Held<u8> {
    static unsigned pack(int a, int b, unsigned above) { return pack_u8(a, b, above); }
};
template <>
struct Held<i8> {
    static unsigned pack(int a, int b, unsigned above) { return pack_i8(a, b, above); }
};
template <>
struct Held<u4> {
    static unsigned pack(int a, int b, unsigned above) { return pack_u4(a, b, above); }
};
template <>
struct Held<i4> {
    static unsigned pack(int a, int b, unsigned above) { return pack_i4(a, b, above); }
};

template <class Format>
struct Cut {  // the low bits of a value
    static unsigned pack(int a, int b, unsigned above) {
        constexpr unsigned MASK = (1u << Format::BITS) - 1;
        const unsigned pair = ((unsigned)a & MASK) | ((unsigned)b & MASK) << Format::BITS;
        return pair | (Format::BITS < 16 ? above << 2 * Format::BITS % 32 : 0);
    }
};

// The words of LANES values.
template <class Packing, class Format, int LANES>
struct Packer {
    static constexpr int EACH = 32 / Format::BITS;
    static Run<Format, LANES> pack(const typename Format::Value (&value)[LANES]) {
        Run<Format, LANES> run;
#pragma unroll
        for (int w = 0; w < Run<Format, LANES>::WORDS; ++w) {
            unsigned word = 0;
#pragma unroll
            for (int i = EACH - 2; i >= 0; i -= 2)
                if (w * EACH + i + 1 < LANES) word = Packing::pack(value[w * EACH + i], value[w * EACH + i + 1], word);
            run.word[w] = word;
        }
        return run;
    }
};
template <class Packing, int LANES>
struct Packer<Packing, i32, LANES> {
    static Run<i32, LANES> pack(const int (&value)[LANES]) {
        Run<i32, LANES> run;
#pragma unroll
        for (int i = 0; i < LANES; ++i) run.word[i] = (unsigned)value[i];
        return run;
    }
};
template <class Packing, int LANES>
struct Packer<Packing, f32, LANES> {
    static Run<f32, LANES> pack(const float (&value)[LANES]) {
        Run<f32, LANES> run;
#pragma unroll
        for (int i = 0; i < LANES; ++i) run.word[i] = __float_as_uint(value[i]);
        return run;
    }
};
template <class Packing, int LANES>
struct Packer<Packing, i64, LANES> {
    static Run<i64, LANES> pack(const long long (&value)[LANES]) {
        Run<i64, LANES> run;
#pragma unroll
        for (int i = 0; i < LANES; ++i) {
            run.word[2 * i] = (unsigned)value[i];
            run.word[2 * i + 1] = (unsigned)(value[i] >> 32);
        }
        return run;
    }
};

// ---- writing

inline void take_piece(const unsigned* word, uint4& piece) { piece = make_uint4(word[0], word[1], word[2], word[3]); }
inline void take_piece(const unsigned* word, uint2& piece) { piece = make_uint2(word[0], word[1]); }
inline void take_piece(const unsigned* word, unsigned& piece) { piece = word[0]; }
inline void take_piece(const unsigned* word, unsigned short& piece) { piece = (unsigned short)word[0]; }
inline void take_piece(const unsigned* word, unsigned char& piece) { piece = (unsigned char)word[0]; }

// A run, in accesses of BYTES bytes; the first begins at a multiple of them.
template <int BYTES, class Format, int LANES>
void store(void* array, long long at, const Run<Format, LANES>& run) {
    auto* to = pieces<BYTES>(address<Format>(array, at));
#pragma unroll
    for (int i = 0; i < Run<Format, LANES>::BYTES / BYTES; ++i) {
        constexpr int EACH = BYTES < 4 ? 4 / BYTES : 1;
        const unsigned word = run.word[i * BYTES / 4] >> i % EACH * 8 * BYTES % 32;
        typename Piece<BYTES>::type piece;
        take_piece(BYTES < 4 ? &word : run.word + i * BYTES / 4, piece);
        to[i] = piece;
    }
}

// The words of values as `store_held` and `store_cut` write them, to be written under a condition:
// computed here and not behind it, so that the code around stays in one piece.
template <class Format, int LANES>
Run<Format, LANES> settled(Run<Format, LANES> run) {
#ifndef QC_EMU
#pragma unroll
    for (int w = 0; w < Run<Format, LANES>::WORDS; ++w) asm volatile("" : "+r"(run.word[w]));
#endif
    return run;
}
template <class Format, int LANES>
Run<Format, LANES> packed_held(const typename Format::Value (&value)[LANES]) {
    return settled(Packer<Held<Format>, Format, LANES>::pack(value));
}
template <class Format, int LANES>
Run<Format, LANES> packed_cut(const typename Format::Value (&value)[LANES]) {
    return settled(Packer<Cut<Format>, Format, LANES>::pack(value));
}

// Values known to lie in the format's range, or to be held to it.
template <class Format, int LANES, int BYTES>
void store_held(void* array, long long at, const typename Format::Value (&value)[LANES]) {
    store<BYTES>(array, at, Packer<Held<Format>, Format, LANES>::pack(value));
}

// The low bits of values.
template <class Format, int LANES, int BYTES>
void store_cut(void* array, long long at, const typename Format::Value (&value)[LANES]) {
    store<BYTES>(array, at, Packer<Cut<Format>, Format, LANES>::pack(value));
}

// One element of at least a byte; its low bits.
template <class Format>
void put(void* array, long long at, typename Format::Value value) {
    const typename Format::Value values[1] = {value};
    unsigned char* to = address<Format>(array, at);
    if (Format::BITS == 8) *to = (unsigned char)value;
    if (Format::BITS == 16) *(unsigned short*)to = (unsigned short)value;
    if (Format::BITS >= 32) *(typename Format::Value*)to = values[0];
}

// LANES elements, `step` apart; the first `count` of them.
template <class Format, int LANES>
void scatter(void* array, long long at, long long step, const typename Format::Value (&value)[LANES]) {
#pragma unroll
    for (int i = 0; i < LANES; ++i) put<Format>(array, at + i * step, value[i]);
}
template <class Format, int LANES>
void scatter(void* array, long long at, long long step, const typename Format::Value (&value)[LANES], int count) {
#pragma unroll
    for (int i = 0; i < LANES; ++i)
        if (i < count) put<Format>(array, at + i * step, value[i]);
}

// Pairs of nibbles as whole bytes: those that hold the first `count` elements.
template <class Format, int LANES>
void scatter_pairs(void* array, long long at, const int (&value)[LANES], int count) {
    unsigned char* to = address<Format>(array, at);
#pragma unroll
    for (int i = 0; i < LANES; i += 2)
        if (i < count) to[i / 2] = (unsigned char)Cut<Format>::pack(value[i], value[i + 1], 0);
}

// ---- arithmetic

// x · m in 64 bits. One instruction by name: where the compiler moves the widening of x or m away
// from the product, it multiplies 64-bit numbers.
inline long long product(int x, int m) {
#ifdef QC_EMU
    return (long long)x * m;
#else
    long long product;
    asm("mul.wide.s32 %0,%1,%2;" : "=l"(product) : "r"(x), "r"(m));
    return product;
#endif
}

// (x · m + addend) >> SHIFT in 64 bits; the result fits 32.
template <int SHIFT>
int rescale(int x, int m, long long addend) {
    return (int)((product(x, m) + addend) >> SHIFT);
}

// clip((x · m + 2^(SHIFT−1) >> SHIFT) + plus, lo, hi) where the result may not fit 32 bits before.
template <int SHIFT>
int rescale_wide(int x, int m, long long plus, int lo, int hi) {
    const long long half = SHIFT == 0 ? 0 : 1ll << (SHIFT == 0 ? 0 : SHIFT - 1);
    const long long value = (((long long)x * m + half) >> SHIFT) + plus;
    return (int)max((long long)lo, min((long long)hi, value));
}

// x / BY for 0 <= x < LIMIT: the high half of one product. 2^32 / BY is rounded up, by less than 1,
// which changes no quotient while x · BY < 2^32.
template <unsigned BY, unsigned LIMIT>
int quotient(int x) {
    if ((unsigned long long)BY * LIMIT >> 32) return (unsigned)x / BY;
    constexpr unsigned long long INVERSE = ((1ull << 32) + BY - 1) / BY;
    return (int)((unsigned)x * INVERSE >> 32);
}

// a / b toward zero; where a processor would trap (b = 0, the least integer by −1) some value, for
// lanes that hold nothing are computed, too.
template <class Integer>
Integer quotient(Integer a, Integer b) {
    if (b == -1) return (Integer)0 - a;
    return a / (b == 0 ? (Integer)1 : b);
}

// The nearest whole number, ties to even, held to lo … hi; NaN gives 0.
inline int whole(float x, int lo, int hi) { return max(lo, min(hi, __float2int_rn(x))); }

}  // namespace qc
