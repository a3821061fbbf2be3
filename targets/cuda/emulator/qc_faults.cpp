// A wild access in a kernel becomes an error: the signal handler leaves the block.
#include "qc_faults.hpp"

#include <ucontext.h>

#include <csetjmp>
#include <cstdint>

#include "qc_memory.hpp"

namespace qc_emulated {

struct Guarded {
  sigjmp_buf recover;
  const void* address;
  unsigned long stack_pointer;
};
static __thread Guarded* guarded = nullptr;

#if defined(__SANITIZE_ADDRESS__)
void catch_faults() {}  // the sanitizer reports them better
#else
// The handlers of the time before: kept from the first launch, since another emulator library may
// have put its own in front of ours, and would be sent back to us.
static struct sigaction earlier[2];
static bool installed[2];
static const int signals[2] = {SIGSEGV, SIGBUS};

static unsigned long stack_pointer_of(const void* context) {
  const mcontext_t& registers = static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  return static_cast<unsigned long>(registers.gregs[REG_RSP]);
#else
  return registers.sp;
#endif
}

static void on_fault(int signal, siginfo_t* info, void* context) {
  if (guarded != nullptr) {
    guarded->address = info->si_addr;
    guarded->stack_pointer = stack_pointer_of(context);
    siglongjmp(guarded->recover, 1);
  }
  const struct sigaction& other = earlier[signal == SIGBUS];
  if ((other.sa_flags & SA_SIGINFO) != 0) {
    other.sa_sigaction(signal, info, context);
  } else if (other.sa_handler == SIG_DFL || other.sa_handler == SIG_IGN) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  } else {
    other.sa_handler(signal);
  }
}

void catch_faults() {
  struct sigaction action = {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  for (int i = 0; i < 2; i++) {
    struct sigaction present;
    sigaction(signals[i], nullptr, &present);
    if ((present.sa_flags & SA_SIGINFO) != 0 && present.sa_sigaction == on_fault) continue;
    if (!installed[i]) earlier[i] = present;
    installed[i] = true;
    sigaction(signals[i], &action, nullptr);
  }
}
#endif

static std::string describe(const Guarded& fault) {
  const std::string thread = "thread " + triple((*thread_of_stack(fault.stack_pointer))->thread);
  const auto stack = fault.stack_pointer & ~(STACK_SIZE - 1);
  const auto address = reinterpret_cast<unsigned long>(fault.address);
  if (address - stack < STACK_GUARD)
    return thread + " has more than " + std::to_string(STACK_SIZE >> 10) + " KB of local variables";
  return thread + " made an illegal memory access: " + guarded_place(fault.address);
}

Outcome run_guarded(Block& block) {
  Guarded here;
  if (sigsetjmp(here.recover, 0) != 0) {
    guarded = nullptr;
    block.error = describe(here);
    return ILLEGAL_ADDRESS;
  }
  guarded = &here;
  run_block(block);
  guarded = nullptr;
  if (block.error.empty()) return DONE;
  return block.misaligned ? MISALIGNED_ADDRESS : FAILED;
}

// A handler cannot run on a stack that is used up.
SignalStack::SignalStack() : memory(new unsigned char[SIZE]) {
  stack_t mine = {};
  mine.ss_sp = memory.get();
  mine.ss_size = SIZE;
  sigaltstack(&mine, &earlier_stack);
}

SignalStack::~SignalStack() { sigaltstack(&earlier_stack, nullptr); }

}  // namespace qc_emulated
