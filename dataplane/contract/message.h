// Messages between the two processes.
//
// The data plane listens on a SOCK_SEQPACKET Unix socket (default /run/sluice/dataplane.sock); the
// control plane connects. One control plane at a time; a second connection is refused with Rejected
// and closed. Every message starts with MessageHeader and has the length of its struct; another
// version or length is answered with Rejected in words, and nothing changes.
//
//     data plane → Hello     descriptors: counters (read-only), log rings, annotations, and the
//                            running snapshot if there is one. Sent once after accept.
//     control plane → Offer  descriptor: sealed memfd with a snapshot
//     data plane → Accepted  all workers run this generation
//                | Rejected  the old generation stays; reason in words
//
// One Offer is outstanding at a time. Strings are NUL-terminated inside their arrays.
#pragma once

#include <cstdint>
#include <type_traits>

#include "common/address.h"
#include "dataplane/contract/counters.h"
#include "dataplane/contract/instruction.h"

namespace sluice::contract {

inline constexpr std::uint32_t kMessageMagic = 0x43554c53;  // "SLUC"
inline constexpr std::uint16_t kMessageVersion = 1;
// A generation follows the running one. Near the end of the numbers there would be none to follow.
inline constexpr std::uint64_t kGenerationLimit = std::uint64_t{1} << 63;
inline constexpr char kDefaultContractSocket[] = "/run/sluice/dataplane.sock";

enum class MessageType : std::uint16_t { hello = 1, offer = 2, accepted = 3, rejected = 4 };

struct MessageHeader {
    std::uint32_t magic = kMessageMagic;
    std::uint16_t version = kMessageVersion;
    MessageType type = MessageType::hello;
    std::uint64_t length = 0;  // of the whole message in bytes
};

struct PortDescription {
    char name[kInterfaceNameSize] = {};  // the name that rules use: `via NAME`
    MacAddress mac;
    std::uint8_t link_up = 0;
    std::uint8_t peer = 0xff;  // index of the port that bridges with this one
};

struct Hello {
    MessageHeader header{.type = MessageType::hello, .length = 0};
    std::uint64_t boot_id = 0;     // random, another one after each start of the data plane
    std::uint64_t generation = 0;  // running now; 0: no ruleset yet
    std::uint32_t process_id = 0;
    std::uint32_t worker_count = 0;
    std::uint32_t port_count = 0;
    std::uint32_t slot_capacity = 0;
    std::uint32_t log_ring_capacity = 0;  // records per worker
    std::uint32_t reserved = 0;
    PortDescription ports[kMaximumPorts];
};

struct Offer {
    MessageHeader header{.type = MessageType::offer, .length = 0};
    std::uint64_t generation = 0;  // as in the image: > the running one, < kGenerationLimit
    std::uint64_t size = 0;        // of the image in bytes
};

struct Accepted {
    MessageHeader header{.type = MessageType::accepted, .length = 0};
    std::uint64_t generation = 0;
};

struct Rejected {
    MessageHeader header{.type = MessageType::rejected, .length = 0};
    std::uint64_t generation = 0;  // that was offered
    char reason[240] = {};
};

static_assert(std::has_unique_object_representations_v<Hello>);
static_assert(std::has_unique_object_representations_v<Rejected>);
static_assert(sizeof(MessageHeader) == 16 && sizeof(PortDescription) == 24);

}  // namespace sluice::contract
