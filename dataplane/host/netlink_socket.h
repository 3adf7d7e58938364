// A netlink socket that never blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "common/address.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "dataplane/host/messages.h"

namespace sluice::host {

class NetlinkSocket {
  public:
    struct Spec {
        std::vector<unsigned> groups = {};  // RTNLGRP_…
        std::size_t receive_buffer = 0;     // 0: what the kernel gives
    };
    static Result<NetlinkSocket> open(const Spec& spec);

    int fd() const { return fd_.get(); }

    enum class Outcome : std::uint8_t {
        nothing,   // there is no message at present
        messages,  // `received` holds some
        overrun,   // messages have been lost
        failed,
    };
    Outcome receive();
    // Messages one behind the other; valid until the next `receive`.
    std::span<const std::byte> received() const { return {buffer_.get(), size_}; }

    // Everything of one kind and one family (AF_UNSPEC: of all).
    bool request_dump(unsigned type, unsigned char family, std::uint32_t sequence);
    // Makes the kernel find out the MAC address of a neighbour, or make sure of it.
    bool probe_neighbour(LinkIndex link, const route::Address& address, std::uint32_t sequence);

  private:
    // A dump comes in pieces of at most 32 KB.
    static constexpr std::size_t kBufferSize = std::size_t{64} << 10;
    struct FreeBuffer {
        void operator()(std::byte* buffer) const { ::operator delete[](buffer); }
    };

    UniqueFd fd_;
    std::unique_ptr<std::byte[], FreeBuffer> buffer_;
    std::size_t size_ = 0;
};

}  // namespace sluice::host
