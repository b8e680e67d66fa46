// How threads share tasks.

#pragma once
#include <algorithm>
#include <atomic>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "forward.h"
#include "plan.h"

// More threads than that on one task have not been tried, not even in turns (docs/speed.md).
constexpr int MOST_IN_TEAM = 16;

// Visit the tasks from one to another, each with a team of threads and its space. Threads take a
// task each where there are so many; else as many as share a task well work on each.
template <typename F>
static void in_teams(Plan& plan, int from, int end, F visit, bool with_tangents) {
  std::atomic<int> next{from};
  const int tasks = end - from;
  const int at_most = std::min(plan.threads, tasks * std::min(plan.n, MOST_IN_TEAM));
#pragma omp parallel num_threads(at_most)
  {
#ifdef _OPENMP
    const int rank = omp_get_thread_num(), threads = omp_get_num_threads();
#else
    const int rank = 0, threads = 1;
#endif
    const int teams = std::min(tasks, threads), size = threads / teams, mine = rank / size;
    if (mine < teams) {
      Space& space = plan.spaces[mine];
      const Team team{rank % size, size, space.barrier.get()};
      for (int i = size > 1 ? from + mine : next++; i < end; i = size > 1 ? end : next++)
        visit(i, team, space, with_tangents ? &plan.tangents[mine] : nullptr);
    }
  }
}

// Visit some tasks: a task for each thread as often as there are so many, and those that are left
// over, which are fewer than threads, in teams.
template <typename F>
static void each_task(Plan& plan, int tasks, F visit, bool with_tangents = false) {
  while ((int)plan.spaces.size() < std::min(tasks, plan.threads))
    plan.spaces.push_back(make_space(plan));
  while (with_tangents && plan.tangents.size() < plan.spaces.size())
    plan.tangents.push_back(make_space(plan));
  const int left_over = tasks % plan.threads;
  if (tasks > left_over) in_teams(plan, 0, tasks - left_over, visit, with_tangents);
  if (left_over) in_teams(plan, tasks - left_over, tasks, visit, with_tangents);
}
