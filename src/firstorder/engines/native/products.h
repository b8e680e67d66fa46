// Matrix products whose rows are read where they lie in an image, never copied out.
//
// A tile of C = A B stays in the registers: R rows by V vectors of columns. For each k it loads V
// vectors of B, and multiplies them with one number of A from each row.

#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

// Tiles at their widest are 6 x 4 vectors of AVX-512's 32 registers, 8 x 2 of NEON's 32, of which
// only some can be multiplied by one number, and 6 x 2 of 16: the rest hold what is multiplied.
// Narrower ones have 8 rows at most, since each has an address, and there are 16 registers for
// those or more.
#if defined(__AVX512F__)
constexpr int LANES = 16, WIDEST = 4, ACCUMULATORS = 24;
#elif defined(__AVX__)
constexpr int LANES = 8, WIDEST = 2, ACCUMULATORS = 12;
#elif defined(__aarch64__)
constexpr int LANES = 4, WIDEST = 2, ACCUMULATORS = 16;
#else
constexpr int LANES = 4, WIDEST = 2, ACCUMULATORS = 12;
#endif
constexpr int MOST_ROWS = 8;
constexpr int IN_CACHE = 5000;  // numbers, 20 of the 32 kB that a core has nearest
constexpr int POSITIONS = 96;   // at a time: so many rows of 64 numbers stay there too

typedef float vec __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef int mask __attribute__((vector_size(LANES * 4)));

static inline vec load(const float* p) { return *reinterpret_cast<const vec*>(p); }
static inline void store(float* p, vec x) { *reinterpret_cast<vec*>(p) = x; }
static inline vec broadcast(float x) { return x - vec{}; }

// C[r] (+)= sum over segments s, and k in each, of A[row r + offset s + k] B[s, k]; a row of B
// lies `stride` after the one before.
template <int R, int V>
static void row_tile(const float* const* rows, const int* offsets, int segments, int length,
                     const float* b, int stride, float* const* out, bool add) {
  vec sum[R][V];
#pragma GCC unroll 8
  for (int r = 0; r < R; r++)
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) sum[r][v] = add ? load(out[r] + v * LANES) : vec{};
  for (int s = 0; s < segments; s++) {
    const float* a[R];
    for (int r = 0; r < R; r++) a[r] = rows[r] + offsets[s];
    for (int k = 0; k < length; k++, b += stride) {
      vec w[V];
#pragma GCC unroll 4
      for (int v = 0; v < V; v++) w[v] = load(b + v * LANES);
#pragma GCC unroll 8
      for (int r = 0; r < R; r++) {
        const vec x = broadcast(a[r][k]);
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) sum[r][v] += x * w[v];
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; r++)
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) store(out[r] + v * LANES, sum[r][v]);
}

// C[r] (+)= sum over positions p of A[at p + offset r] B[p]; rows of B are `stride` apart, of C
// `width`.
template <int R, int V>
static void column_tile(const float* a, const int* at, const int* offsets, const float* b,
                        int stride, int positions, float* out, int width, bool add) {
  vec sum[R][V];
  const float* rows[R];
#pragma GCC unroll 8
  for (int r = 0; r < R; r++) rows[r] = a + offsets[r];
#pragma GCC unroll 8
  for (int r = 0; r < R; r++)
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) sum[r][v] = add ? load(out + r * width + v * LANES) : vec{};
  for (int p = 0; p < positions; p++, b += stride) {
    const ptrdiff_t here = at[p];
    vec w[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) w[v] = load(b + v * LANES);
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
      const vec x = broadcast(rows[r][here]);
#pragma GCC unroll 4
      for (int v = 0; v < V; v++) sum[r][v] += x * w[v];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; r++)
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) store(out + r * width + v * LANES, sum[r][v]);
}

// Call `tile` for so many rows, R at most, and V vectors of columns.
template <int V, int R = std::min(ACCUMULATORS / V, MOST_ROWS), typename F>
static inline void with_rows(int rows, F tile) {
  if constexpr (R > 0) {
    if (rows == R) tile(std::integral_constant<int, R>{}, std::integral_constant<int, V>{});
    else with_rows<V, R - 1>(rows, tile);
  }
}

template <typename F>
static inline void with_size(int rows, int vectors, F tile) {
  if (vectors == WIDEST) with_rows<WIDEST>(rows, tile);
  else if (vectors == 2) with_rows<2>(rows, tile);
  else with_rows<1>(rows, tile);
}

// Vectors of columns in a tile, and its rows at most.
static int span(int columns) {
  return columns % (WIDEST * LANES) == 0 ? WIDEST : columns % (2 * LANES) == 0 ? 2 : 1;
}
static int most_rows(int vectors) { return std::min(ACCUMULATORS / vectors, MOST_ROWS); }

// Cut things into pieces of `most` at most, all of about one size: how many, and where one starts.
static int pieces(int count, int most) { return (count + most - 1) / most; }
static int start(int piece, int count, int pieces) {
  return (int)((int64_t)count * piece / pieces);
}

struct Matrix {  // in panels of columns, as wide as a tile
  const float* numbers;
  int width, stride, panel;  // columns; from one row of a panel to the next, from panel to panel
};

// out[out_at p] (+)= sum over s and k of image[at p + offset s + k] B[s, k], at some positions p.
static void multiply(const float* image, const int* at, int positions,
                     const std::vector<int>& offsets, int length, Matrix b, float* out,
                     const int* out_at, bool add = false) {
  const int v = span(b.width), tiles = pieces(positions, most_rows(v));
  const int segments = (int)offsets.size(), fit = IN_CACHE / (length * v * LANES);
  const int at_once = fit ? std::min(fit, segments) : segments;  // near while all positions pass
  for (int column = 0; column < b.width; column += v * LANES, b.numbers += b.panel)
    for (int s = 0; s < segments; s += at_once)
      for (int tile = 0; tile < tiles; tile++) {
        const float* rows[MOST_ROWS];
        float* outs[MOST_ROWS];
        const int p = start(tile, positions, tiles), now = start(tile + 1, positions, tiles) - p;
        for (int r = 0; r < now; r++)
          rows[r] = image + at[p + r], outs[r] = out + out_at[p + r] + column;
        with_size(now, v, [&](auto r, auto vectors) {
          row_tile<r(), vectors()>(rows, offsets.data() + s, std::min(at_once, segments - s),
                                   length, b.numbers + s * length * b.stride, b.stride, outs,
                                   add || s);
        });
      }
}

// out[r] (+)= sum over positions p of image[at p + offset r] B[p], in the tiles of a range.
static void multiply_transposed(const float* image, const int* at, int positions,
                                const std::vector<int>& offsets, Matrix b, int from, int end,
                                float* out, bool add) {
  const int v = span(b.width), rows = (int)offsets.size(), tiles = pieces(rows, most_rows(v));
  for (int tile = from; tile < end; tile++) {
    const int row = start(tile, rows, tiles), now = start(tile + 1, rows, tiles) - row;
    const float* panel = b.numbers;
    for (int column = 0; column < b.width; column += v * LANES, panel += b.panel)
      with_size(now, v, [&](auto r, auto vectors) {
        column_tile<r(), vectors()>(image, at, offsets.data() + row, panel, b.stride, positions,
                                    out + row * b.width + column, b.width, add);
      });
  }
}

// Transpose a square of numbers, LANES x LANES: interleave rows with those half a square below,
// as often as halves can be cut.
template <int... I>
static inline vec interleaved_low(vec a, vec b, std::integer_sequence<int, I...>) {
  return vec{(I % 2 ? b[I / 2] : a[I / 2])...};
}
template <int... I>
static inline vec interleaved_high(vec a, vec b, std::integer_sequence<int, I...>) {
  return vec{(I % 2 ? b[(LANES + I) / 2] : a[(LANES + I) / 2])...};
}
static inline void transpose(const float* from, int stride, float* to, int to_stride) {
  constexpr std::make_integer_sequence<int, LANES> lanes;
  vec rows[LANES], mixed[LANES];
#pragma GCC unroll 16
  for (int i = 0; i < LANES; i++) rows[i] = load(from + i * stride);
#pragma GCC unroll 4
  for (int round = 1; round < LANES; round *= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < LANES / 2; i++) {
      mixed[2 * i] = interleaved_low(rows[i], rows[i + LANES / 2], lanes);
      mixed[2 * i + 1] = interleaved_high(rows[i], rows[i + LANES / 2], lanes);
    }
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i++) rows[i] = mixed[i];
  }
#pragma GCC unroll 16
  for (int i = 0; i < LANES; i++) store(to + i * to_stride, rows[i]);
}
