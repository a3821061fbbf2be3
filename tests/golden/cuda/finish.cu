const int* __restrict__ v2;
const int* __restrict__ v3;
const uint8_t* __restrict__ v4;
uint8_t* __restrict__ out;

void finish(
    int m, int n, int split, bool inside, const int (&sums)[16]) const {
    const int i0 = qc::quotient<36, 72>(m);
    const int i1 = qc::quotient<6, 72>(m);
    const auto x2 = qc::load<qc::i32, 16, 16>(v2, n);
    const auto x3 = qc::load<qc::i32, 16, 16>(v3, n);
    const int at0 = i0 * 512 + i1 * 64 + m * 32 + n + 288;
    const auto x4 = qc::load<qc::u8, 16, 16>(v4, at0);
    const int to = m * 32 + n;
    int y[16];
#pragma unroll
    for (int i = 0; i < 16; ++i) {
        const int t0 = qc::rescale<28>(sums[i] + x2[i], x3[i], 134217728ll);
        y[i] = qc::rescale<44>(t0 + ((x4[i] - 1) * 1024), 1030792151, 43980465111040ll);
    }
    const auto words = qc::packed_held<qc::u8, 16>(y);
    if (inside) qc::store<16>(out, to, words);
}

// Problem{v2, v3, v4, out}
