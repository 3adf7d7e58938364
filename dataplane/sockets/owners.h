// Which user owns the TCP or UDP socket of this machine that a packet belongs to.
//
// Two tables of fixed size. `connections` has one entry for each TCP connection, made when it sends
// its first segment, and forgets the one that has been silent longest where it is full. `bound` has
// what the kernel is asked for again and again: TCP sockets that listen, UDP sockets, and connected
// UDP sockets under both addresses. A part of a key that the socket leaves open is zero.
//
// An entry is one cache line in a bucket of eight, and never moves. Its sequence number is odd
// while it is written, so a reader sees one version of it whole, or tries again.
//
// Threads: one writer, the thread of the exception path. `owner` is for any thread, without locks.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "common/address.h"

namespace sluice::sockets {

using UserId = std::uint32_t;

// Ports in host byte order; an IPv4 address is the first four bytes, the rest is zero.
struct Flow {
    Ipv6 local;
    Ipv6 remote;
    std::uint16_t local_port = 0;
    std::uint16_t remote_port = 0;
    std::uint8_t protocol = 0;    // TCP or UDP; 0: an entry that is free
    std::uint8_t ip_version = 0;  // 4 or 6
    std::uint16_t unused = 0;

    bool operator==(const Flow&) const = default;
};

// What a socket that has no peer is known under.
Flow without_remote(const Flow& flow);
Flow without_addresses(const Flow& flow);

// Whose packets a flow's packet may be.
enum class Candidates : std::uint8_t {
    all,
    bound_only,  // it opens a connection to this machine, or answers that: no connection is meant
};

// One writer, any number of readers.
class OwnerTable {
  public:
    // REQUIRES: a power of two, at least 8.
    OwnerTable(std::size_t entries, std::uint64_t seed);

    std::optional<UserId> find(const Flow& flow) const;

    // -- writer --
    // Where there is no room, the entry that was stamped longest ago makes room.
    void set(const Flow& flow, UserId user, std::uint64_t stamp);
    // False: it is not known.
    bool stamp(const Flow& flow, std::uint64_t stamp);
    // Stamped with something else.
    void remove_all_but(std::uint64_t stamp);

  private:
    static constexpr std::size_t kWays = 8;
    static constexpr std::size_t kWords = sizeof(Flow) / sizeof(std::uint64_t);

    struct alignas(64) Entry {
        std::atomic<std::uint32_t> sequence = 0;
        std::atomic<UserId> user = 0;
        std::atomic<std::uint64_t> flow[kWords] = {};
        std::uint64_t stamp = 0;  // the writer's own
    };
    static_assert(sizeof(Entry) == 64 && sizeof(Flow) == 40);

    static bool holds(const Entry& entry, const std::uint64_t (&words)[kWords]);
    static void write(Entry& entry, const Flow& flow, UserId user);
    Entry* bucket(const std::uint64_t (&words)[kWords]) const;

    std::unique_ptr<Entry[]> entries_;
    std::size_t buckets_;
    std::uint64_t seed_;
};

class Owners {
  public:
    explicit Owners(std::uint64_t seed);

    std::optional<UserId> owner(const Flow& flow, Candidates candidates) const;

    // -- writer --
    OwnerTable& connections() { return connections_; }
    OwnerTable& bound() { return bound_; }

  private:
    OwnerTable connections_;
    OwnerTable bound_;
};

}  // namespace sluice::sockets
