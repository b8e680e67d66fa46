// Matrix products whose rows are read where they lie in an image, never copied out.
//
// A tile of C = A B stays in the registers: R rows by V vectors of columns. For each k it loads V
// vectors of B, and multiplies them with one number of A from each row.

#pragma once
#include <algorithm>
#include <type_traits>
#include <vector>

#if defined(__AVX512F__)
constexpr int LANES = 16, ACCUMULATORS = 24;  // the other registers hold what is multiplied
#elif defined(__AVX__)
constexpr int LANES = 8, ACCUMULATORS = 12;
#else
constexpr int LANES = 4, ACCUMULATORS = 16;
#endif
constexpr int MOST_ROWS = 12;

typedef float vec __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef int mask __attribute__((vector_size(LANES * 4)));

static inline vec load(const float* p) { return *reinterpret_cast<const vec*>(p); }
static inline void store(float* p, vec x) { *reinterpret_cast<vec*>(p) = x; }
static inline vec broadcast(float x) { return x - vec{}; }

// C[r] = sum over segments s, and k in each, of A[row r + offset s + k] B[s, k]; B has `width`
// columns.
template <int R, int V>
static void row_tile(const float* const* rows, const int* offsets, int segments, int length,
                     const float* b, int width, float* const* out) {
  vec sum[R][V] = {};
  for (int s = 0; s < segments; s++) {
    const float* a[R];
    for (int r = 0; r < R; r++) a[r] = rows[r] + offsets[s];
    for (int k = 0; k < length; k++, b += width) {
      vec w[V];
#pragma GCC unroll 4
      for (int v = 0; v < V; v++) w[v] = load(b + v * LANES);
#pragma GCC unroll 12
      for (int r = 0; r < R; r++) {
        const vec x = broadcast(a[r][k]);
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) sum[r][v] += x * w[v];
      }
    }
  }
  for (int r = 0; r < R; r++)
    for (int v = 0; v < V; v++) store(out[r] + v * LANES, sum[r][v]);
}

// C[r] += sum over positions p of A[a_at p + offset r] B[b_at p].
template <int R, int V>
static void column_tile(const float* a, const int* a_at, const float* b, const int* b_at,
                        int positions, const int* offsets, float* out, int width) {
  vec sum[R][V];
  int at[R];
  for (int r = 0; r < R; r++) {
    at[r] = offsets[r];
    for (int v = 0; v < V; v++) sum[r][v] = load(out + r * width + v * LANES);
  }
  for (int p = 0; p < positions; p++) {
    const float *x = a + a_at[p], *y = b + b_at[p];
    vec w[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) w[v] = load(y + v * LANES);
#pragma GCC unroll 12
    for (int r = 0; r < R; r++) {
      const vec value = broadcast(x[at[r]]);
#pragma GCC unroll 4
      for (int v = 0; v < V; v++) sum[r][v] += value * w[v];
    }
  }
  for (int r = 0; r < R; r++)
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
  if (vectors == 4) with_rows<4>(rows, tile);
  else if (vectors == 2) with_rows<2>(rows, tile);
  else with_rows<1>(rows, tile);
}

static int rows_beside(int vectors) { return std::min(ACCUMULATORS / vectors, MOST_ROWS); }

// Vectors of columns in a tile.
static int span(int columns) {
  return columns % (4 * LANES) == 0 ? 4 : columns % (2 * LANES) == 0 ? 2 : 1;
}

// out[out_at p] = sum over s and k of image[at p + offset s + k] B[s, k], at some positions p.
static void multiply(const float* image, const int* at, int positions,
                     const std::vector<int>& offsets, int length, const float* b, int width,
                     float* out, const int* out_at) {
  const int v = span(width), most = rows_beside(v), segments = (int)offsets.size();
  for (int column = 0; column < width; column += v * LANES)
    for (int p = 0; p < positions; p += most) {
      const float* rows[MOST_ROWS];
      float* outs[MOST_ROWS];
      const int now = std::min(most, positions - p);
      for (int r = 0; r < now; r++)
        rows[r] = image + at[p + r], outs[r] = out + out_at[p + r] + column;
      with_size(now, v, [&](auto r, auto vectors) {
        row_tile<r(), vectors()>(rows, offsets.data(), segments, length, b + column, width, outs);
      });
    }
}

// out[r] += sum over positions p of image[at p + offset r] B[b_at p], for some rows r of the
// outcome.
static void multiply_transposed(const float* image, const int* at, const float* b, const int* b_at,
                                int positions, const int* offsets, int rows, float* out,
                                int width) {
  const int v = span(width);
  for (int column = 0; column < width; column += v * LANES)
    with_size(rows, v, [&](auto r, auto vectors) {
      column_tile<r(), vectors()>(image, at, b + column, b_at, positions, offsets, out + column,
                                  width);
    });
}
