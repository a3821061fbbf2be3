// Fibers: each lane has a stack, and a switch saves only what the calling convention asks to keep.
#include <cstring>

#include "qc_runtime.hpp"

extern "C" QC_HIDDEN void qc_switch(void** saved_stack_pointer, void* stack_pointer);

#if defined(__x86_64__)
asm(R"(
.text
.globl qc_switch
.hidden qc_switch
.type qc_switch,@function
qc_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp,(%rdi)
  movq %rsi,%rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size qc_switch,.-qc_switch
.section .note.GNU-stack,"",@progbits
.text
)");
#elif defined(__aarch64__)
asm(R"(
.text
.globl qc_switch
.hidden qc_switch
.type qc_switch,%function
qc_switch:
  stp x19,x20,[sp,#-160]!
  stp x21,x22,[sp,#16]
  stp x23,x24,[sp,#32]
  stp x25,x26,[sp,#48]
  stp x27,x28,[sp,#64]
  stp x29,x30,[sp,#80]
  stp d8,d9,[sp,#96]
  stp d10,d11,[sp,#112]
  stp d12,d13,[sp,#128]
  stp d14,d15,[sp,#144]
  mov x9,sp
  str x9,[x0]
  mov sp,x1
  ldp x21,x22,[sp,#16]
  ldp x23,x24,[sp,#32]
  ldp x25,x26,[sp,#48]
  ldp x27,x28,[sp,#64]
  ldp x29,x30,[sp,#80]
  ldp d8,d9,[sp,#96]
  ldp d10,d11,[sp,#112]
  ldp d12,d13,[sp,#128]
  ldp d14,d15,[sp,#144]
  ldp x19,x20,[sp],#160
  ret
.size qc_switch,.-qc_switch
)");
#else
#error "the emulator switches stacks on x86-64 and aarch64 only"
#endif

#if defined(__SANITIZE_ADDRESS__)
extern "C" {
void __sanitizer_start_switch_fiber(void** fake_stack, const void* bottom, size_t size);
void __sanitizer_finish_switch_fiber(void* fake_stack, const void** old_bottom, size_t* old_size);
void __asan_unpoison_memory_region(const volatile void* bottom, size_t size);
}
#endif

namespace qc_emulated {

void prepare_stack(Lane& lane, void (*entry)()) {
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(lane.stack, STACK_SIZE);
#endif
  Thread** const start = thread_of_stack(reinterpret_cast<unsigned long>(lane.stack));
  *start = &lane;
  void** top = reinterpret_cast<void**>(start);
#if defined(__x86_64__)
  top -= 8;  // six registers, the entry, and a null return address that keeps the stack aligned
  std::memset(top, 0, 8 * sizeof(void*));
  top[6] = reinterpret_cast<void*>(entry);
#else
  top -= 20;
  std::memset(top, 0, 20 * sizeof(void*));
  top[11] = reinterpret_cast<void*>(entry);  // x30
#endif
  lane.stack_pointer = top;
}

#if defined(__SANITIZE_ADDRESS__)
static void jump(void** save, void* stack_pointer, const void* bottom, size_t size) {
  void* fake_stack = nullptr;
  __sanitizer_start_switch_fiber(&fake_stack, bottom, size);
  qc_switch(save, stack_pointer);
  __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
}
void fiber_started() {
  const void* bottom;
  size_t size;
  __sanitizer_finish_switch_fiber(nullptr, &bottom, &size);
  Block& block = running_block();
  if (block.host_stack != nullptr) return;
  block.host_stack = bottom;
  block.host_stack_size = size;
}
#else
static inline void jump(void** save, void* stack_pointer, const void*, size_t) {
  qc_switch(save, stack_pointer);
}
void fiber_started() {}
#endif

void switch_lanes(Lane& from, Lane& to) {
  jump(&from.stack_pointer, to.stack_pointer, to.stack, STACK_SIZE);
}

[[noreturn]] void leave_block(Lane& from) {
  const Block& block = *from.warp->block;
  for (;;)
    jump(&from.stack_pointer, block.host_stack_pointer, block.host_stack, block.host_stack_size);
}

void switch_from_host(Block& block, Lane& to) {
  jump(&block.host_stack_pointer, to.stack_pointer, to.stack, STACK_SIZE);
}

}  // namespace qc_emulated
