// What the writer of a Fib remembers of the routes of one family: each prefix and its word. It
// finds the route that comes back when a longer one goes.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <unordered_map>

#include "common/address.h"
#include "dataplane/route/prefix_table.h"

namespace sluice::route {

template <unsigned kBytes>
class Rib {
  public:
    using Bytes = std::array<std::uint8_t, kBytes>;

    struct Key {
        Bytes bytes{};  // those behind the length are 0
        std::uint8_t length = 0;

        bool operator==(const Key&) const = default;
    };
    struct Cover {
        Word word = 0;
        unsigned length = 0;
    };

    static Key key(const std::uint8_t* address, unsigned length) {
        Key key;
        key.length = static_cast<std::uint8_t>(length);
        std::memcpy(key.bytes.data(), address, length / 8);
        if (length % 8 != 0)
            key.bytes[length / 8] =
                static_cast<std::uint8_t>(address[length / 8] & (0xff00 >> (length % 8)));
        return key;
    }

    // 0: no such route.
    Word find(const Key& key) const {
        const auto found = words_.find(key);
        return found == words_.end() ? 0 : found->second;
    }
    void set(const Key& key, Word word) {
        if (words_.insert_or_assign(key, word).second)
            ++counts_[key.length];
    }
    void remove(const Key& key) { counts_[key.length] -= words_.erase(key); }
    // The longest route that is shorter than `length` and covers the address; a word of 0: none.
    Cover cover(const std::uint8_t* address, unsigned length) const {
        while (length > 0) {
            --length;
            if (counts_[length] == 0)
                continue;
            if (const Word word = find(key(address, length)); word != 0)
                return {.word = word, .length = length};
        }
        return {};
    }
    std::size_t size() const { return words_.size(); }

  private:
    struct Hash {
        std::size_t operator()(const Key& key) const {
            constexpr std::uint64_t kFactor = 0x9e3779b97f4a7c15;
            std::uint64_t hash = key.length;
            for (unsigned i = 0; i < kBytes; i += 4) {
                std::uint32_t part = 0;
                std::memcpy(&part, key.bytes.data() + i, sizeof part);
                hash = (hash ^ part) * kFactor;
                hash ^= hash >> 32;
            }
            return hash;
        }
    };

    std::unordered_map<Key, Word, Hash> words_;
    std::array<std::size_t, kBytes * 8 + 1> counts_{};
};

}  // namespace sluice::route
