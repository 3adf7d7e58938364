// The program of local_delivery.h, in the kernel's BPF instructions.
#pragma once

#include <linux/bpf.h>

#include <cstdint>
#include <vector>

namespace sluice::host {

// `mark` is given to packets that are taken in.
std::vector<bpf_insn> delivery_program(std::uint32_t mark);

}  // namespace sluice::host
