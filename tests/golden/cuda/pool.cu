#include "qc_values.cuh"

// max_pool: u8[1, 32, 5, 4] ~ 0.02@3
// 5 x 4 x 32 places, max over 3 x 3; 8 neighbours a thread
extern "C" __global__ void __launch_bounds__(256)
pool_1(const uint8_t* __restrict__ v0, uint8_t* __restrict__ out) {
    const unsigned thread = blockIdx.x * 256u + threadIdx.x;
    if (thread >= 80u) return;
    const int block = thread % 4u;
    const int i1 = thread / 4u % 4u;
    const int i0 = thread / 16u;
    int acc[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) acc[i] = 0;
#pragma unroll
    for (int r0 = 0; r0 < 3; ++r0) {
#pragma unroll
        for (int r1 = 0; r1 < 3; ++r1) {
            const int at0 = i0 * 576 + i1 * 64 + block * 8 + r0 * 288 + r1 * 32;
            const auto x0 = qc::load<qc::u8, 8, 8>(v0, at0);
#pragma unroll
            for (int i = 0; i < 8; ++i) acc[i] = max(acc[i], x0[i]);
        }
    }
    const int to = i0 * 128 + i1 * 32 + block * 8;
    int y[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) y[i] = acc[i];
    qc::store_held<qc::u8, 8, 8>(out, to, y);
}
QC_KERNEL(pool_1)
