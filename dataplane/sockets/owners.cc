#include "dataplane/sockets/owners.h"

#include <cstring>

namespace sluice::sockets {

namespace {

constexpr std::size_t kConnections = 32768;
constexpr std::size_t kBound = 16384;
// A writer that is at work is done in a few nanoseconds, or sleeps; then the reader does not wait.
constexpr unsigned kTries = 8;

constexpr std::uint8_t kTcp = 6;

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
    const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

}  // namespace

Flow without_remote(const Flow& flow) {
    Flow open = flow;
    open.remote = {};
    open.remote_port = 0;
    return open;
}

Flow without_addresses(const Flow& flow) {
    Flow open = without_remote(flow);
    open.local = {};
    return open;
}

OwnerTable::OwnerTable(std::size_t entries, std::uint64_t seed)
    : entries_(new Entry[entries]), buckets_(entries / kWays), seed_(seed) {}

OwnerTable::Entry* OwnerTable::bucket(const std::uint64_t (&words)[kWords]) const {
    std::uint64_t hash = seed_;
    for (const std::uint64_t word : words)
        hash = mix(hash ^ word, 0x9e3779b97f4a7c15) + seed_;
    return &entries_[(hash & (buckets_ - 1)) * kWays];
}

bool OwnerTable::holds(const Entry& entry, const std::uint64_t (&words)[kWords]) {
    for (std::size_t i = 0; i < kWords; ++i)
        if (entry.flow[i].load(std::memory_order_relaxed) != words[i])
            return false;
    return true;
}

std::optional<UserId> OwnerTable::find(const Flow& flow) const {
    std::uint64_t wanted[kWords];
    std::memcpy(wanted, &flow, sizeof wanted);
    const Entry* entries = bucket(wanted);
    for (std::size_t way = 0; way < kWays; ++way) {
        const Entry& entry = entries[way];
        for (unsigned attempt = 0; attempt < kTries; ++attempt) {
            const std::uint32_t before = entry.sequence.load(std::memory_order_acquire);
            const bool found = holds(entry, wanted);
            const UserId user = entry.user.load(std::memory_order_relaxed);
            std::atomic_thread_fence(std::memory_order_acquire);
            if (before % 2 != 0 || entry.sequence.load(std::memory_order_relaxed) != before)
                continue;
            if (found)
                return user;
            break;
        }
    }
    return std::nullopt;
}

void OwnerTable::write(Entry& entry, const Flow& flow, UserId user) {
    std::uint64_t words[kWords];
    std::memcpy(words, &flow, sizeof words);
    const std::uint32_t sequence = entry.sequence.load(std::memory_order_relaxed);
    entry.sequence.store(sequence + 1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    entry.user.store(user, std::memory_order_relaxed);
    for (std::size_t i = 0; i < kWords; ++i)
        entry.flow[i].store(words[i], std::memory_order_relaxed);
    entry.sequence.store(sequence + 2, std::memory_order_release);
}

void OwnerTable::set(const Flow& flow, UserId user, std::uint64_t stamp) {
    std::uint64_t words[kWords];
    std::memcpy(words, &flow, sizeof words);
    Entry* entries = bucket(words);
    Entry* oldest = entries;
    for (Entry* entry = entries; entry < entries + kWays; ++entry) {
        if (holds(*entry, words)) {
            entry->stamp = stamp;
            if (entry->user.load(std::memory_order_relaxed) != user)
                write(*entry, flow, user);
            return;
        }
        if (entry->stamp < oldest->stamp)  // 0 where it is free
            oldest = entry;
    }
    oldest->stamp = stamp;
    write(*oldest, flow, user);
}

bool OwnerTable::stamp(const Flow& flow, std::uint64_t stamp) {
    std::uint64_t words[kWords];
    std::memcpy(words, &flow, sizeof words);
    Entry* entries = bucket(words);
    for (Entry* entry = entries; entry < entries + kWays; ++entry)
        if (holds(*entry, words)) {
            entry->stamp = stamp;
            return true;
        }
    return false;
}

void OwnerTable::remove_all_but(std::uint64_t stamp) {
    for (std::size_t i = 0; i < buckets_ * kWays; ++i)
        if (entries_[i].stamp != 0 && entries_[i].stamp != stamp) {
            entries_[i].stamp = 0;
            write(entries_[i], {}, 0);
        }
}

Owners::Owners(std::uint64_t seed) : connections_(kConnections, seed), bound_(kBound, seed) {}

std::optional<UserId> Owners::owner(const Flow& flow, Candidates candidates) const {
    if (candidates == Candidates::all)
        if (const auto user = flow.protocol == kTcp ? connections_.find(flow) : bound_.find(flow))
            return user;
    if (const auto user = bound_.find(without_remote(flow)))
        return user;
    return bound_.find(without_addresses(flow));
}

}  // namespace sluice::sockets
