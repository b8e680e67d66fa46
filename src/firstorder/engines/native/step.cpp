// What Python calls: inner steps of a convolutional network on a processor, see forward.h and
// pass.h.

#include <memory>
#include <numeric>

#include "pass.h"
#include "tangent.h"
#include "teams.h"

struct Optimizer {
  int adam;
  float lr, beta1, beta2, eps;
};

struct Vectors {  // of one task: weights, Adam's moments
  float *phi, *m, *v;
};

struct Tensors {  // each step's images (tasks, n, C, H, W) and labels (tasks, n); vectors (tasks,
                  // d)
  const float* const* x;
  const int64_t* const* y;
  Vectors from, to;
  float* losses;  // (tasks), at the last step
};

// phi - lr m_hat / (sqrt(v_hat) + eps), or phi - lr g, from one number of the vectors to another.
static void update(const Optimizer& o, Vectors old, Vectors made, const float* g, double t,
                   int from, int end) {
  if (!o.adam) {
#pragma omp simd
    for (int i = from; i < end; i++) made.phi[i] = old.phi[i] - o.lr * g[i];
    return;
  }
  const float keep1 = o.beta1, keep2 = o.beta2, eps = o.eps;
  const float rate = o.lr / (1 - std::pow((double)o.beta1, t)),
              correction = -1 / std::expm1(t * std::log((double)o.beta2));
#pragma omp simd
  for (int i = from; i < end; i++) {
    const float square = g[i] * g[i];
    const float m = g[i] + keep1 * (old.m[i] - g[i]), v = square + keep2 * (old.v[i] - square);
    made.m[i] = m, made.v[i] = v;
    made.phi[i] = old.phi[i] - rate * m / (std::sqrt(std::max(v * correction, 1e-30f)) + eps);
  }
}

// The derivatives of a scalar by Adam's gradient and moments, from those by its results.
static void pull_back(const Optimizer& o, const float* g, const float* m, const float* v,
                      Vectors of, Vectors made, double t, int size) {
  const float keep1 = o.beta1, keep2 = o.beta2, eps = o.eps;
  const float rate = o.lr / (1 - std::pow((double)o.beta1, t)),
              correction = -1 / std::expm1(t * std::log((double)o.beta2));
#pragma omp simd
  for (int i = 0; i < size; i++) {
    const float square = g[i] * g[i];
    const float new_m = g[i] + keep1 * (m[i] - g[i]),
                v_hat = (square + keep2 * (v[i] - square)) * correction;
    const float root = std::sqrt(std::max(v_hat, 1e-30f)), share = rate * of.phi[i] / (root + eps);
    const float slope = share * new_m * correction / (2 * root * (root + eps));
    const float of_m = of.m[i] - share, of_v = of.v[i] + (v_hat < 1e-30f ? 0 : slope);
    made.phi[i] = (1 - keep1) * of_m + 2 * (1 - keep2) * g[i] * of_v;
    made.m[i] = keep1 * of_m, made.v[i] = keep2 * of_v;
  }
}

static int64_t numbers_in_batch(const Plan& plan) {
  return (int64_t)plan.n * plan.blocks[0].channels * plan.blocks[0].side * plan.blocks[0].side;
}

static bool are_ways(const Plan& plan, const int64_t* labels, int tasks) {
  return std::all_of(labels, labels + (int64_t)tasks * plan.n,
                     [&](int64_t label) { return 0 <= label && label < plan.ways; });
}

extern "C" {

int lanes() { return LANES; }

// What Python's mirrors of these are compared with.
int optimizer_size() { return sizeof(Optimizer); }
int tensors_size() { return sizeof(Tensors); }
int plan_size(const Plan* plan) { return plan->size; }

// Null where this is not a network that the code below computes.
Plan* make_plan(int n, int channels, int side, int filters, int blocks, int stride, int pool,
                int ways, float eps, float smoothing, int threads) {
  if (std::min({n, channels, side, filters, blocks, ways, threads}) < 1 || filters % LANES ||
      stride < 1 || stride > 2 || pool < 1 || pool > 2)
    return nullptr;
  auto plan = std::make_unique<Plan>();
  plan->n = n, plan->ways = ways, plan->threads = threads, plan->size = 0;
  plan->eps = eps, plan->smoothing = smoothing;
  plan->dout_size = plan->scratch_size = 0;
  for (int i = 0; i < blocks; i++) {
    plan->blocks.push_back(make_block(channels, filters, stride, pool, side, plan->size));
    channels = filters, side = plan->blocks.back().out_side;
    const Block& b = plan->blocks.back();
    plan->dout_size = std::max(plan->dout_size, side * side * filters);
    plan->scratch_size =
        std::max({plan->scratch_size, POSITIONS * filters, b.strip * pool * b.conv_side * filters});
  }
  plan->flat = channels * side * side;
  plan->head_at = plan->size, plan->bias_at = plan->head_at + ways * plan->flat,
  plan->size = plan->bias_at + ways;
  return plan.release();
}

void drop_plan(Plan* plan) { delete plan; }

// Take some steps on each of some tasks, numbered from t; weight is that of an image's loss. Does
// nothing and returns false where a label is not that of a way.
bool take_steps(Plan* plan, const Optimizer* optimizer, const Tensors* all, int tasks, int steps,
                double t, float weight) {
  for (int step = 0; step < steps; step++)
    if (!are_ways(*plan, all->y[step], tasks)) return false;
  const int64_t images = numbers_in_batch(*plan), d = plan->size;
  each_task(*plan, tasks, [&](int i, Team team, Space& space, Space*) {
    const auto of_task = [&](Vectors v) {
      return Vectors{v.phi + i * d, v.m + i * d, v.v + i * d};
    };
    const Vectors first = of_task(all->from), made = of_task(all->to);
    const int from = d * team.rank / team.size, end = d * (team.rank + 1) / team.size;
    for (int step = 0; step < steps; step++) {
      const Vectors old = step ? made : first;
      const Pass pass{*plan, space, old.phi, team};
      pass.flip();
      pass.forward(all->x[step] + i * images);
      pass.backward(all->y[step] + (int64_t)i * plan->n, weight);
      pass.join_first(from, end, space);
      update(*optimizer, old, made, space.gradient.data(), t + step, from, end);
      if (team.rank == 0)
        all->losses[i] = std::accumulate(space.losses.begin(), space.losses.end(), 0.f);
      team.wait();
    }
  });
  return true;
}

// The gradient of each task's mini-batch, (tasks, d), and its loss, (tasks); or, of a vector of
// each, (tasks, d), what its Hessian times the vector is. Nothing and false as for `take_steps`.
bool differentiate(Plan* plan, const float* x, const int64_t* y, const float* phi,
                   const float* vector, float* derivative, float* losses, int tasks, float weight) {
  if (!are_ways(*plan, y, tasks)) return false;
  const int64_t images = numbers_in_batch(*plan), d = plan->size;
  const auto visit = [&](int i, Team team, Space& space, Space* tangent) {
    const int from = d * team.rank / team.size, end = d * (team.rank + 1) / team.size;
    const int64_t* labels = y + (int64_t)i * plan->n;
    const Pass pass{*plan, space, phi + i * d, team};
    pass.flip();
    pass.forward(x + i * images);
    if (tangent) Tangent{pass, *tangent, vector + i * d}.multiply_hessian(labels, weight);
    else pass.backward(labels, weight);
    Space& made = tangent ? *tangent : space;
    pass.join_first(from, end, made);
    std::copy(made.gradient.data() + from, made.gradient.data() + end, derivative + i * d + from);
    if (team.rank == 0) losses[i] = std::accumulate(space.losses.begin(), space.losses.end(), 0.f);
    team.wait();
  };
  each_task(*plan, tasks, visit, vector != nullptr);
  return true;
}

void update_weights(const Optimizer* optimizer, Vectors old, Vectors made, const float* g, double t,
                    int size) {
  update(*optimizer, old, made, g, t, 0, size);
}

// Given the gradient and the moments before the step in `at`: Adam only. The derivative by the
// gradient takes the place of that by the weights, which a step leaves as it is.
void update_vjp(const Optimizer* optimizer, Vectors at, Vectors of, Vectors made, double t,
                int size) {
  pull_back(*optimizer, at.phi, at.m, at.v, of, made, t, size);
}

// The outputs, (tasks, n, ways), for images (tasks, n, C, H, W) with weights (tasks, d).
void predict(Plan* plan, const float* x, const float* phi, float* outputs, int tasks) {
  const int64_t images = numbers_in_batch(*plan), numbers = (int64_t)plan->n * plan->ways;
  each_task(*plan, tasks, [&](int i, Team team, Space& space, Space*) {
    Pass{*plan, space, phi + (int64_t)i * plan->size, team}.forward(x + i * images);
    team.wait();
    if (team.rank == 0) std::copy(space.logits.begin(), space.logits.end(), outputs + i * numbers);
    team.wait();
  });
}
}
