#include "dataplane/payload/name_set.h"

#include <bit>

namespace sluice::payload {

NameSet::NameSet(std::span<const std::string_view> entries) {
    if (entries.empty())
        return;
    std::size_t text = 0;
    for (const std::string_view entry : entries)
        text += entry.size();
    text_.reserve(text);
    slots_.resize(std::bit_ceil(2 * entries.size()));
    mask_ = slots_.size() - 1;
    for (std::uint32_t index = 0; index < entries.size(); ++index) {
        std::string_view name = entries[index];
        const Scope scope = name.starts_with('=') ? Scope::alone : Scope::with_all_below;
        if (scope == Scope::alone)
            name.remove_prefix(1);
        if (name.empty() || name.size() > kLongest)
            continue;
        std::uint64_t name_hash = kSeed;
        for (std::size_t at = name.size(); at > 0; --at)
            name_hash = with(name_hash, name[at - 1]);
        if (find(name, name_hash, scope) != kNone)
            continue;
        const std::uint64_t hash = mixed(name_hash, scope);
        std::size_t at = hash & mask_;
        while (slots_[at].index != kNone)
            at = (at + 1) & mask_;
        slots_[at] = {.hash = static_cast<std::uint32_t>(hash >> 32),
                      .index = index,
                      .text = static_cast<std::uint32_t>(text_.size()),
                      .length = static_cast<std::uint16_t>(name.size()),
                      .scope = scope};
        text_.insert(text_.end(), name.begin(), name.end());
    }
}

}  // namespace sluice::payload
