// The search, once for all sets of instructions. For the files search_*.cc only: they include what
// this needs, define a `Vector`, and may compile all of it for one set of instructions, which is
// why everything here has internal linkage and calls nothing that another file could share.
//
// Packets are searched in groups. All walks of a group, one for each packet and tree that the
// filter leaves, take their steps in turn; the steps of one turn do not depend on each other, so
// the CPU begins the next ones while the memory of one is still to come. Asking for that memory
// ahead of time was measured as a loss. Nothing depends on what is found but the loop counts: a
// branch that cannot be foreseen costs more than a node.

namespace sluice::classify {
namespace {

// Rules that match a packet and do not end its list, while they are being found.
constexpr unsigned kCandidates = 16;
constexpr std::uint32_t kNoRule = BoxRules::kIndex;

struct alignas(64) Group {
    // By packet.
    std::uint32_t best[kGroup];     // the first terminal rule found
    std::uint32_t horizon[kGroup];  // a candidate that found no room; none from here on counts
    std::uint32_t candidate_count[kGroup];
    std::uint8_t trees[kGroup];                     // bit t: tree t has to be searched
    std::uint32_t candidates[kGroup][kCandidates];  // with Matches::kUnverified
    Walks walking;                                  // at a node
    Walks arrived;                                  // at a leaf
    Reference next[Walks::kRoom];                   // where walks have come to, by place in a list
};

inline std::uint32_t index_of(std::uint32_t candidate) {
    return candidate & ~Matches::kUnverified;
}

// Keeps the lowest ones.
void add_candidate(Group& group, unsigned packet, std::uint32_t value) {
    const std::uint32_t candidate =
        (value & BoxRules::kIndex) |
        ((value & BoxRules::kUnverified) != 0 ? Matches::kUnverified : 0);
    std::uint32_t* list = group.candidates[packet];
    std::uint32_t& count = group.candidate_count[packet];
    // A rule has any number of boxes, and must not fill the list alone.
    for (unsigned i = 0; i < count; ++i) {
        if (index_of(list[i]) == index_of(candidate)) {
            list[i] &= candidate;  // a verified box says more
            return;
        }
    }
    if (count < kCandidates) {
        list[count++] = candidate;
        return;
    }
    unsigned last = 0;
    for (unsigned i = 1; i < kCandidates; ++i)
        if (index_of(list[i]) > index_of(list[last]))
            last = i;
    std::uint32_t dropped = candidate;
    if (index_of(candidate) < index_of(list[last])) {
        dropped = list[last];
        list[last] = candidate;
    }
    if (index_of(dropped) < group.horizon[packet])
        group.horizon[packet] = index_of(dropped);
}

// The matches of one block below and including the first terminal one. True: there was one.
template <bool kFrom>
bool take_matches(Group& group, unsigned packet, const BoxRules& rules, unsigned matching,
                  std::uint32_t from) {
    while (matching != 0) {
        const std::uint32_t value = rules.values[static_cast<unsigned>(__builtin_ctz(matching))];
        const std::uint32_t index = value & BoxRules::kIndex;
        matching &= matching - 1;
        if (kFrom && index < from)
            continue;
        if (index > group.best[packet] ||
            (group.candidate_count[packet] == kCandidates && index > group.horizon[packet]))
            return true;
        if ((value & BoxRules::kTerminal) != 0) {
            if (index < group.best[packet])
                group.best[packet] = index;
            return true;
        }
        add_candidate(group, packet, value);
    }
    return false;
}

// The first block of a leaf, from `block` on, that may have a rule at or behind `from`; otherwise
// the last one. The number of steps is bounded by the logarithm of the length: at most seven of
// each stride, but of the widest.
template <typename Block>
const Block* pass_blocks(const Block* block, std::uint32_t from) {
    if ((block->rules.values.data()[0] & BoxRules::kMore) == 0)
        return block;
    for (unsigned lane = kBlockSize; lane-- > 0;) {
        const std::uint32_t stride = blocks_of_stride(lane);
        while ((block->rules.values.data()[lane] & BoxRules::kMore) != 0 &&
               (block[stride - 1].rules.values.data()[kBlockSize - 1] & BoxRules::kIndex) < from)
            block += stride;
    }
    return block;
}

template <typename Block, bool kFrom>
void search_leaf(Group& group, unsigned packet, const Block* block,
                 const typename Vector::template Query<Block>& query, std::uint32_t from) {
    if (kFrom)
        block = pass_blocks(block, from);
    for (;; ++block) {
        const unsigned matching = query.match(*block);
        const std::uint32_t more =
            (block->rules.values.data()[0] & BoxRules::kMore) / BoxRules::kMore;
        const unsigned terminal = matching & Vector::terminal(block->rules);
        const unsigned first_terminal = terminal & (0u - terminal);
        const unsigned others = matching & (first_terminal - 1);
        const unsigned place = static_cast<unsigned>(__builtin_ctz(terminal | 1u << 7));
        const std::uint32_t index = block->rules.values[place] & BoxRules::kIndex;
        const std::uint32_t found = terminal != 0 ? index : kNoRule;
        if (__builtin_expect(kFrom || others != 0, 0)) {
            if (take_matches<kFrom>(group, packet, block->rules, matching, from) || more == 0)
                return;
            continue;
        }
        group.best[packet] = found < group.best[packet] ? found : group.best[packet];
        // One branch for both reasons to stop: whether a box matches cannot be foreseen.
        std::uint32_t goes_on = more & (terminal - 1) >> 31;
        asm("" : "+r"(goes_on));  // or the compiler makes two of it
        if (__builtin_expect(goes_on == 0, 1))
            return;
    }
}

inline std::uint32_t value_at(const std::byte* keys, std::size_t place) {
    return *reinterpret_cast<const std::uint32_t*>(keys + place);
}

// `count` walks behind those at a node have made the step to group.next. Stepping and separating
// are loops of their own, so that no step has to wait for where another one led to.
inline void separate(Group& group, std::size_t count, Progress& progress) {
    progress = Vector::separate(group.next, count, progress, group.walking, group.arrived);
}

// Lets all walks step down until they have arrived.
void descend(Group& group, const std::byte* arena, const std::byte* keys, Progress& progress) {
    while (progress.walking != 0) {
        const std::size_t count = progress.walking;
        for (std::size_t i = 0; i < count; ++i) {
            const Reference at = group.walking.at[i];
            const Node& node = *reinterpret_cast<const Node*>(arena + (at & ~kWhat));
            const std::uint32_t value = value_at(keys + group.walking.key[i], at & kWhat);
            group.next[i] = node.children.data()[Vector::child(node.pivots, value)];
        }
        progress.walking = 0;
        separate(group, count, progress);
    }
}

// The walks of some packets, bit by bit, in one tree: at its root, or where its grid leads to.
void begin_walks(Group& group, const Tree& tree, const std::byte* arena, const std::byte* keys,
                 std::uint64_t packets, Progress& progress) {
    std::uint32_t* some = group.walking.key + progress.walking;
    const std::size_t count = Vector::list_keys(packets, some);
    if (!tree.has_grid) {
        for (std::size_t i = 0; i < count; ++i)
            group.next[i] = tree.root;
    } else {
        const Grid& grid = *reinterpret_cast<const Grid*>(arena + tree.root);
        const std::byte* first = keys + tree.first_lane * sizeof(std::uint32_t);
        const std::byte* second = keys + tree.second_lane * sizeof(std::uint32_t);
        for (std::size_t i = 0; i < count; ++i) {
            const std::size_t row = Vector::child(grid.first_pivots, value_at(first, some[i])),
                              column = Vector::child(grid.second_pivots, value_at(second, some[i]));
            group.next[i] = grid.children.data()[row * kParts + column];
        }
    }
    separate(group, count, progress);
}

template <typename Block, bool kFrom>
void search_trees(const Forest& forest, Group& group, const HeaderKey* keys, std::uint32_t from,
                  std::span<const HeaderKey> ahead) {
    const std::byte* arena = forest.arena.data();
    const auto* key_bytes = reinterpret_cast<const std::byte*>(keys);
    const Tree* trees = forest.trees.data();
    const unsigned tree_count = static_cast<unsigned>(forest.trees.size());
    // One key with each leaf: all at once would hold up what the search itself waits for.
    const HeaderKey* next = ahead.data();
    const HeaderKey* const last = next + ahead.size();
    for (unsigned first = 0; first < tree_count;) {
        Progress progress;
        unsigned tree = first;
        for (; tree < tree_count && trees[tree].phase == trees[first].phase; ++tree) {
            const std::uint64_t packets = Vector::having(group.trees, tree) &
                                          Vector::above(group.best, trees[tree].first_rule);
            begin_walks(group, trees[tree], arena, key_bytes, packets, progress);
        }
        first = tree;
        descend(group, arena, key_bytes, progress);
        for (std::size_t i = 0; i < progress.arrived; ++i) {
            const std::uint32_t key = group.arrived.key[i];
            __builtin_prefetch(next);
            next += next < last ? 1 : 0;
            const auto* block =
                reinterpret_cast<const Block*>(arena + (group.arrived.at[i] & ~kWhat));
            const typename Vector::template Query<Block> query(
                *reinterpret_cast<const HeaderKey*>(key_bytes + key));
            search_leaf<Block, kFrom>(group, static_cast<unsigned>(key / sizeof(HeaderKey)), block,
                                      query, from);
        }
    }
}

// The first of some ascending rules at or behind `from`.
const std::uint32_t* first_from(const std::vector<std::uint32_t>& rules, std::uint32_t from) {
    const std::uint32_t* rule = rules.data();
    for (std::size_t span = rules.size(); span > 0;) {
        const std::size_t half = span / 2;
        if (index_of(rule[half]) < from) {
            rule += half + 1;
            span -= half + 1;
        } else {
            span = half;
        }
    }
    return rule;
}

void insert_sorted(std::uint32_t* list, unsigned count, std::uint32_t candidate) {
    unsigned place = count;
    for (; place > 0 && index_of(list[place - 1]) > index_of(candidate); --place)
        list[place] = list[place - 1];
    list[place] = candidate;
}

// Puts together what was found for a packet that more than one rule matches.
void finish(const Forest& forest, Group& group, unsigned packet, std::uint32_t from,
            Matches& matches) {
    std::uint32_t limit =
        group.best[packet] < group.horizon[packet] ? group.best[packet] : group.horizon[packet];
    std::uint32_t sorted[2 * kCandidates];
    unsigned count = 0;
    for (unsigned i = 0; i < group.candidate_count[packet]; ++i)
        insert_sorted(sorted, count++, group.candidates[packet][i]);
    const std::uint32_t* wild = first_from(forest.wild_others, from);
    const std::uint32_t* wild_end = forest.wild_others.data() + forest.wild_others.size();
    for (unsigned taken = 0; wild != wild_end; ++wild, ++taken) {
        if (taken == kCandidates) {
            if (index_of(*wild) < limit)
                limit = index_of(*wild);
            break;
        }
        insert_sorted(sorted, count++, *wild);
    }
    std::uint32_t told = 0;
    for (unsigned i = 0; i < count && index_of(sorted[i]) < limit; ++i) {
        // Boxes of one rule may overlap; a verified one says more.
        if (told > 0 && index_of(matches.rules[told - 1]) == index_of(sorted[i])) {
            matches.rules[told - 1] &= sorted[i];
            continue;
        }
        if (told == Matches::kCapacity) {
            matches.count = told;
            matches.end = index_of(sorted[i]);
            return;
        }
        matches.rules[told++] = sorted[i];
    }
    const bool has_end = group.best[packet] == limit && limit != kNoRule;
    if (has_end && told == Matches::kCapacity) {
        matches.count = told;
        matches.end = limit;
        return;
    }
    if (has_end)
        matches.rules[told++] = limit;
    matches.count = told;
    matches.end = has_end ? limit + 1 : limit;
}

// The first terminal rule at or behind `from` that matches every packet.
std::uint32_t first_wild_terminal(const Forest& forest, std::uint32_t from) {
    const std::uint32_t* rule = first_from(forest.wild_terminal, from);
    return rule != forest.wild_terminal.data() + forest.wild_terminal.size() ? *rule : kNoRule;
}

// Which trees each packet has to be searched in.
template <Family kFamily>
void ask_filters(const Forest& forest, Group& group, const HeaderKey* keys, unsigned count) {
    std::memset(group.trees, 0, sizeof group.trees);
    if (forest.source_filter.empty()) {
        std::memset(group.trees, (1 << forest.trees.size()) - 1, count);
        return;
    }
    const std::uint8_t* source_filter = forest.source_filter.data();
    const std::uint8_t* destination_filter = forest.destination_filter.data();
    for (unsigned i = 0; i < count; ++i) {
        const std::uint32_t source = keys[i].lanes.data()[lane::source],
                            destination = keys[i].lanes.data()[lane::destination];
        group.trees[i] = static_cast<std::uint8_t>(
            Forest::filtered_trees(source_filter, Forest::filter_index(kFamily, source)) &
            Forest::filtered_trees(destination_filter, Forest::filter_index(kFamily, destination)));
    }
}

template <typename Block>
void search_group(const Forest& forest, Group& group, const HeaderKey* keys, unsigned count,
                  std::uint32_t from, std::span<const HeaderKey> ahead) {
    const std::uint32_t wild = first_wild_terminal(forest, from);
    constexpr Family kFamily = sizeof(Block) == sizeof(Block6) ? Family::v6 : Family::v4;
    for (unsigned i = 0; i < kGroup; ++i) {
        group.best[i] = wild;
        group.horizon[i] = kNoRule;
        group.candidate_count[i] = 0;
    }
    ask_filters<kFamily>(forest, group, keys, count);
    if (from == 0)
        search_trees<Block, false>(forest, group, keys, from, ahead);
    else
        search_trees<Block, true>(forest, group, keys, from, ahead);
}

void search(const Forest& forest, std::span<const HeaderKey> keys, std::uint32_t from,
            std::span<Matches> matches, std::span<const HeaderKey> ahead) {
    Group group;
    const bool has_wild = !forest.wild_others.empty();
    const auto count = static_cast<unsigned>(keys.size());
    if (forest.family == Family::v6)
        search_group<Block6>(forest, group, keys.data(), count, from, ahead);
    else
        search_group<Block4>(forest, group, keys.data(), count, from, ahead);
    for (unsigned i = 0; i < count; ++i) {
        Matches& found = matches.data()[i];
        if (has_wild || group.candidate_count[i] != 0) {
            finish(forest, group, i, from, found);
            continue;
        }
        const bool has_end = group.best[i] != kNoRule;
        found.rules.data()[0] = group.best[i];
        found.count = has_end ? 1 : 0;
        found.end = group.best[i] + (has_end ? 1 : 0);
    }
}

}  // namespace
}  // namespace sluice::classify
