// The names of one object of type names: which of them does a name belong to?
//
// Each is in one flat hash table, under the hash of its text read from its end, so that one pass
// over a name gives the hashes of all domains that it is in. A slot of 16 bytes is looked at for
// each label; texts are compared when 32 bits of the hash agree. The table is at most half full.
//
// Threads: it does not change once it is built.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace sluice::payload {

class NameSet {
  public:
    NameSet() = default;

    // Canonical texts: `example.com` for it and all below, `=example.com` for it alone. Of equal
    // ones the first counts. They are copied.
    explicit NameSet(std::span<const std::string_view> entries);

    // Calls visit(index) for every entry that the name, in lower case, belongs to, from the widest
    // domain to itself: at most one for each label, and one more.
    template <typename Visit>
    void each_match(std::string_view name, Visit visit) const {
        if (slots_.empty())
            return;
        std::uint64_t hash = kSeed;
        const std::size_t last = name.size() > kLongest ? name.size() - kLongest : 0;
        for (std::size_t at = name.size(); at > last;) {
            hash = with(hash, name[--at]);
            if (at > 0 && name[at - 1] != '.')
                continue;
            const std::string_view domain = name.substr(at);
            if (const std::uint32_t index = find(domain, hash, Scope::with_all_below);
                index != kNone)
                visit(index);
            if (at > 0)
                continue;
            if (const std::uint32_t index = find(domain, hash, Scope::alone); index != kNone)
                visit(index);
        }
    }

    std::size_t bytes() const { return slots_.size() * sizeof(Slot) + text_.size(); }

  private:
    enum class Scope : std::uint8_t { with_all_below, alone };
    struct Slot {
        std::uint32_t hash = 0;
        std::uint32_t index = kNone;  // of the entry; kNone: free
        std::uint32_t text = 0;       // where it begins
        std::uint16_t length = 0;
        Scope scope = Scope::with_all_below;
    };
    static_assert(sizeof(Slot) == 16);

    static constexpr std::uint32_t kNone = ~0u;
    static constexpr std::size_t kLongest = 255;  // no entry is longer
    static constexpr std::uint64_t kSeed = 0xcbf29ce484222325u;

    static std::uint64_t with(std::uint64_t hash, char c) {
        return (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
    }
    static std::uint64_t mixed(std::uint64_t hash, Scope scope) {
        hash = (hash + static_cast<std::uint64_t>(scope)) * 0x9e3779b97f4a7c15u;
        return hash ^ hash >> 32;
    }

    std::uint32_t find(std::string_view domain, std::uint64_t name_hash, Scope scope) const {
        const std::uint64_t hash = mixed(name_hash, scope);
        const auto tag = static_cast<std::uint32_t>(hash >> 32);
        for (std::size_t at = hash & mask_;; at = (at + 1) & mask_) {
            const Slot& slot = slots_[at];
            if (slot.index == kNone)
                return kNone;
            if (slot.hash == tag && slot.length == domain.size() && slot.scope == scope &&
                std::memcmp(text_.data() + slot.text, domain.data(), domain.size()) == 0)
                return slot.index;
        }
    }

    std::vector<Slot> slots_;  // a power of two of them, or none
    std::vector<char> text_;
    std::size_t mask_ = 0;
};

}  // namespace sluice::payload
