// What tables cost, in time of one CPU: memory for each prefix, look-ups by size beside DPDK's
// structures (table_peers.h) with the same prefixes and keys, additions, and look-ups while another
// thread changes entries 10,000 times a second. Prefixes have the lengths of a routing table.
//
// A look-up of ours finds the entry and reads its value; DPDK's find a number, or a position. All
// take turns in each round. What prefix an address lies under they must say alike.
//
//     table_benchmark [NUMBER OF PREFIXES]
#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "dataplane/table/table_store.h"
#include "perf/table_peers.h"

namespace {

using namespace sluice;
using table::Failures;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kLookups = std::size_t{1} << 20;
constexpr std::size_t kBurst = table::Store::kMany;
static_assert(kBurst == peers::kBurst);
constexpr std::size_t kRounds = 5;

double seconds_since(Clock::time_point begin) {
    return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Time that this thread had a CPU: what else runs on the machine does not count.
double cpu_seconds() {
    timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// One reader that says when it holds nothing.
class Quiescence final : public table::GracePeriods {
  public:
    std::uint64_t begin() override { return period_.fetch_add(1) + 1; }
    bool over(std::uint64_t period) override {
        return !reading_.load() || seen_.load(std::memory_order_acquire) >= period;
    }
    void quiescent() { seen_.store(period_.load(), std::memory_order_release); }
    void reading(bool on) { reading_.store(on); }

  private:
    std::atomic<std::uint64_t> period_ = 0, seen_ = 0;
    std::atomic<bool> reading_ = false;
};

contract::TableKey prefix_key(std::mt19937_64& random, bool v6) {
    // Per mille, roughly as in the routing tables of 2024.
    constexpr struct {
        unsigned share, length;
    } kV4[] = {{590, 24}, {700, 22}, {800, 23}, {850, 20},
               {900, 21}, {930, 19}, {960, 16}, {1000, 32}},
      kV6[] = {{460, 48}, {600, 32}, {680, 44}, {750, 40},
               {800, 36}, {850, 29}, {950, 64}, {1000, 128}};
    contract::TableKey key;
    key.ip_version = v6 ? 6 : 4;
    const unsigned draw = static_cast<unsigned>(random() % 1000);
    for (const auto& each : v6 ? kV6 : kV4)
        if (draw < each.share) {
            key.prefix_length = static_cast<std::uint8_t>(each.length);
            break;
        }
    for (std::size_t i = 0; i < (v6 ? 16u : 4u); ++i)
        key.bytes[i] = static_cast<std::uint8_t>(random());
    if (v6)
        key.bytes[0] = 0x20 | (key.bytes[0] & 0x0f);
    for (unsigned bit = key.prefix_length; bit < (v6 ? 128u : 32u); ++bit)
        key.bytes[bit / 8] &= static_cast<std::uint8_t>(~(0x80 >> bit % 8));
    return key;
}

std::vector<contract::TableKey> prefix_keys(std::size_t count, bool v6, std::mt19937_64& random) {
    std::set<std::pair<std::array<std::uint8_t, 16>, std::uint8_t>> seen;
    std::vector<contract::TableKey> keys;
    while (keys.size() < count) {
        const contract::TableKey key = prefix_key(random, v6);
        if (seen.emplace(key.bytes, key.prefix_length).second)
            keys.push_back(key);
    }
    return keys;
}

contract::TableChange change(contract::TableVerb verb, const contract::TableKey& key = {}) {
    contract::TableChange result;
    result.verb = verb;
    result.table = 1;
    result.key = key;
    return result;
}

// Values with the numbers that the peers have, and one more with none.
std::vector<contract::TableValue> make_values() {
    std::vector<contract::TableValue> values(peers::kNumbers + 1);
    for (std::uint32_t i = 0; i <= peers::kNumbers; ++i)
        values[i].numbers[static_cast<std::size_t>(contract::TableField::tag)] = i;
    return values;
}
const std::vector<contract::TableValue> kValues = make_values();

table::Answer carry_out(table::Store& store, const std::vector<contract::TableChange>& changes) {
    return store.apply({changes, kValues, {}}, Failures::skip, 0);
}

void make_table(table::Store& store, contract::TableType type = contract::TableType::addr) {
    contract::TableDescriptor descriptor;
    descriptor.id = 1;
    descriptor.type = type;
    descriptor.flow_parts = type == contract::TableType::flow ? contract::flow_part::all : 0;
    descriptor.value_fields = contract::kLegacyValue;
    std::strcpy(descriptor.name, "t");
    contract::TableChange create = change(contract::TableVerb::create);
    store.apply({{&create, 1}, {}, {&descriptor, 1}}, Failures::stop, 0);
}

enum class Wanted { below_prefixes, anything };

// One for each look-up, from the whole of the table: those of one prefix seldom follow each other.
std::vector<Ipv6> addresses(const std::vector<contract::TableKey>& keys, std::mt19937_64& random,
                            Wanted wanted) {
    std::vector<Ipv6> result(kLookups);
    for (Ipv6& address : result) {
        const contract::TableKey& key = keys[random() % keys.size()];
        const unsigned kept = wanted == Wanted::anything ? 8 : key.prefix_length;
        for (unsigned i = 0; i < 16; ++i) {
            const unsigned fixed = std::min(8u, kept - std::min(kept, 8 * i));
            address.bytes[i] = static_cast<std::uint8_t>((key.bytes[i] & ~(0xff >> fixed)) |
                                                         (random() & (0xff >> fixed)));
        }
    }
    return result;
}

std::uint32_t host_address(const Ipv6& address) {
    std::uint32_t word = 0;
    std::memcpy(&word, address.bytes.data(), sizeof word);
    return __builtin_bswap32(word);
}

std::uint32_t number_of(const table::Store& store, table::Reference entry) {
    return entry != 0 ? store.value(entry).of(contract::TableField::tag) : 0;
}

// A number for each address, in bursts or one by one; 0: none is found.
using Find = std::function<void(std::span<const Ipv6>, std::uint32_t*)>;

Find in_table(const table::Store& store, bool v6) {
    return [&store, v6](std::span<const Ipv6> wanted, std::uint32_t* numbers) {
        const table::View& view = *store.load().find(1);
        if (wanted.size() == 1) {
            *numbers = number_of(store, v6 ? store.find_address6(view, wanted[0])
                                           : store.find_address4(view, host_address(wanted[0])));
            return;
        }
        std::uint32_t words[kBurst];
        table::Reference entries[kBurst];
        if (v6) {
            store.find_addresses6(view, wanted, entries);
        } else {
            for (std::size_t i = 0; i < kBurst; ++i)
                words[i] = host_address(wanted[i]);
            store.find_addresses4(view, words, entries);
        }
        for (const table::Reference entry : entries)
            if (entry != 0)
                store.prefetch(0, entry);
        for (std::size_t i = 0; i < kBurst; ++i)
            numbers[i] = number_of(store, entries[i]);
    };
}

double median(std::vector<double> rounds) {
    std::sort(rounds.begin(), rounds.end());
    return rounds[rounds.size() / 2];
}

// Median nanoseconds for each of the candidates, which take turns. `each()` looks all keys up.
std::vector<double> take_turns(const std::vector<std::function<void()>>& candidates) {
    std::vector<std::vector<double>> rounds(candidates.size());
    for (std::size_t round = 0; round <= kRounds; ++round)
        for (std::size_t turn = 0; turn < candidates.size(); ++turn) {
            // So that each has been the first one; and the first round warms up.
            const std::size_t at = (turn + round) % candidates.size();
            const double begin = cpu_seconds();
            candidates[at]();
            if (round > 0)
                rounds[at].push_back((cpu_seconds() - begin) * 1e9 / kLookups);
        }
    std::vector<double> medians;
    for (const std::vector<double>& each : rounds)
        medians.push_back(median(each));
    return medians;
}

std::vector<double> lookups_ns(const std::vector<Find>& finds, const std::vector<Ipv6>& wanted,
                               std::size_t at_once) {
    std::vector<std::uint32_t> numbers(kLookups);
    std::vector<std::function<void()>> candidates;
    for (const Find& find : finds)
        candidates.push_back([&, at_once] {
            for (std::size_t i = 0; i < kLookups; i += at_once)
                find(std::span(wanted).subspan(i, at_once), &numbers[i]);
        });
    return take_turns(candidates);
}

void expect_the_same(const std::vector<Find>& finds, const std::vector<Ipv6>& wanted) {
    for (const std::size_t at_once : {kBurst, std::size_t{1}})
        for (std::size_t i = 0; i < kLookups; i += at_once) {
            std::uint32_t ours[kBurst], theirs[kBurst];
            finds[0](std::span(wanted).subspan(i, at_once), ours);
            for (std::size_t peer = 1; peer < finds.size(); ++peer) {
                finds[peer](std::span(wanted).subspan(i, at_once), theirs);
                if (!std::equal(ours, ours + at_once, theirs)) {
                    std::fputs("table_benchmark: the table and its peer do not agree\n", stderr);
                    std::exit(1);
                }
            }
        }
}

std::string figure(double ns) {
    char text[32];
    std::snprintf(text, sizeof text, "%.0f", ns);
    return text;
}

void by_size(std::size_t count, bool v6) {
    std::mt19937_64 random(count);
    table::Store store({});
    make_table(store);
    const std::vector<contract::TableKey> keys = prefix_keys(count, v6, random);
    std::vector<contract::TableChange> changes;
    for (const contract::TableKey& key : keys) {
        changes.push_back(change(contract::TableVerb::add, key));
        changes.back().argument =
            1 + static_cast<std::uint32_t>(changes.size() - 1) % peers::kNumbers;
    }
    const double begin = cpu_seconds();
    carry_out(store, changes);
    const double batch_s = cpu_seconds() - begin;
    const auto info = carry_out(store, {change(contract::TableVerb::info)}).results[0];
    std::vector<Find> finds = {in_table(store, v6)};
    std::vector<std::unique_ptr<peers::PrefixPeer>> others;
    others.push_back(peers::make_fib(keys));
    others.push_back(v6 ? nullptr : peers::make_lpm(keys));
    for (const auto& peer : others)
        if (peer)
            finds.push_back([&peer = *peer](std::span<const Ipv6> wanted, std::uint32_t* numbers) {
                peer.find(wanted, numbers);
            });
    const std::vector<Ipv6> below = addresses(keys, random, Wanted::below_prefixes);
    const std::vector<Ipv6> any = addresses(keys, random, Wanted::anything);
    expect_the_same(finds, below);
    expect_the_same(finds, any);
    std::string row = "| IPv" + std::string(v6 ? "6" : "4") + " | " + std::to_string(count) +
                      " | " + figure(static_cast<double>(info.bytes) / info.count) + " |";
    for (const std::size_t at_once : {kBurst, std::size_t{1}}) {
        const std::vector<double> ns = lookups_ns(finds, below, at_once);
        row += " " + figure(ns[0]);
        std::size_t next = 1;
        for (const auto& peer : others)
            row += peer ? " | " + figure(ns[next++]) : " | –";
        char ratio[32];
        std::snprintf(ratio, sizeof ratio, "%.2f",
                      ns[0] / *std::min_element(ns.begin() + 1, ns.end()));
        row += std::string(" | ") + (ns.size() > 1 ? ratio : "–") + " |";
    }
    std::printf("%s %s | %.2f |\n", row.c_str(), figure(lookups_ns({finds[0]}, any, 1)[0]).c_str(),
                static_cast<double>(count) / batch_s / 1e6);
    std::fflush(stdout);
}

// ---- Exact keys ---------------------------------------------------------------------------------

// As rte_hash gets a flow.
struct FlowBytes {
    std::uint32_t source, destination;
    std::uint16_t source_port, destination_port;
    std::uint32_t protocol;
};

contract::TableKey exact_key(contract::TableType type, std::mt19937_64& random) {
    contract::TableKey key;
    if (type == contract::TableType::number) {
        key.number = static_cast<std::uint32_t>(random());
        return key;
    }
    key.ip_version = 4;
    key.protocol = 6;
    key.source_port = static_cast<std::uint16_t>(random());
    key.destination_port = 443;
    for (std::size_t i = 0; i < 4; ++i) {
        key.bytes[i] = static_cast<std::uint8_t>(random());
        key.destination.bytes[i] = static_cast<std::uint8_t>(random());
    }
    return key;
}

void append_bytes(const contract::TableKey& key, contract::TableType type,
                  std::vector<std::byte>& out) {
    const auto append = [&](const auto& value) {
        const auto bytes = std::as_bytes(std::span(&value, 1));
        out.insert(out.end(), bytes.begin(), bytes.end());
    };
    if (type == contract::TableType::number)
        return append(key.number);
    FlowBytes flow{.source = 0,
                   .destination = 0,
                   .source_port = key.source_port,
                   .destination_port = key.destination_port,
                   .protocol = key.protocol};
    std::memcpy(&flow.source, key.bytes.data(), 4);
    std::memcpy(&flow.destination, key.destination.bytes.data(), 4);
    append(flow);
}

void exact(std::size_t count, contract::TableType type) {
    const bool numbers = type == contract::TableType::number;
    std::mt19937_64 random(count);
    table::Store store({});
    make_table(store, type);
    std::vector<contract::TableKey> keys;
    std::vector<contract::TableChange> changes;
    std::set<std::uint64_t> seen;
    while (keys.size() < count) {
        const contract::TableKey key = exact_key(type, random);
        std::uint32_t source = 0;
        std::memcpy(&source, key.bytes.data(), sizeof source);
        if (!seen.insert(std::uint64_t{source} << 32 | key.number | key.source_port).second)
            continue;
        keys.push_back(key);
        changes.push_back(change(contract::TableVerb::add, key));
        changes.back().argument = 1;
    }
    carry_out(store, changes);
    const auto info = carry_out(store, {change(contract::TableVerb::info)}).results[0];
    if (info.count != count)
        std::fputs("table_benchmark: keys were refused\n", stderr);
    std::vector<std::byte> bytes;
    for (const contract::TableKey& key : keys)
        append_bytes(key, type, bytes);
    const std::size_t size = bytes.size() / count;
    peers::HashPeer peer(bytes, size);
    // In the order of the look-ups, as packets would bring them.
    std::vector<contract::TableKey> wanted;
    std::vector<std::byte> wanted_bytes;
    for (std::size_t i = 0; i < kLookups; ++i) {
        wanted.push_back(keys[random() % count]);
        append_bytes(wanted.back(), type, wanted_bytes);
    }
    std::size_t found[3] = {};
    const auto begin = [&](std::size_t which) { found[which] = 0; };
    const std::vector<double> ns =
        take_turns({[&] {
                        begin(0);
                        const table::View& view = *store.load().find(1);
                        for (const contract::TableKey& key : wanted)
                            found[0] +=
                                number_of(store, numbers ? store.find_number(view, key.number)
                                                         : store.find_flow(view, key));
                    },
                    [&] {
                        begin(1);
                        for (std::size_t i = 0; i < kLookups; ++i)
                            found[1] += peer.find(&wanted_bytes[i * size]) ? 1 : 0;
                    },
                    [&] {
                        begin(2);
                        const std::byte* burst[kBurst];
                        for (std::size_t i = 0; i < kLookups; i += kBurst) {
                            for (std::size_t j = 0; j < kBurst; ++j)
                                burst[j] = &wanted_bytes[(i + j) * size];
                            found[2] += peer.find(burst, kBurst);
                        }
                    }});
    for (const std::size_t each : found)
        if (each != kLookups) {
            std::fputs("table_benchmark: keys were not found\n", stderr);
            std::exit(1);
        }
    std::printf("| %s | %zu | %.0f | %.0f | %.0f | %.2f | %.0f |\n", numbers ? "number" : "flow",
                count, static_cast<double>(info.bytes) / info.count, ns[0], ns[1], ns[0] / ns[1],
                ns[2]);
    std::fflush(stdout);
}

// ---- Changes ------------------------------------------------------------------------------------

void while_changing(std::size_t count) {
    std::mt19937_64 random(7);
    Quiescence quiescence;
    table::Store store({.grace_periods = &quiescence});
    make_table(store);
    std::vector<contract::TableKey> keys(count);
    std::vector<contract::TableChange> changes;
    for (contract::TableKey& key : keys) {
        key = prefix_key(random, false);
        changes.push_back(change(contract::TableVerb::add, key));
    }
    carry_out(store, changes);
    const std::vector<Ipv6> wanted = addresses(keys, random, Wanted::below_prefixes);
    const double quiet_ns = lookups_ns({in_table(store, false)}, wanted, 1)[0];

    std::vector<contract::TableKey> others(50000);
    for (contract::TableKey& key : others)
        key = prefix_key(random, false);
    const double single_begin = cpu_seconds();
    for (const contract::TableKey& key : others)
        carry_out(store, {change(contract::TableVerb::add, key)});
    const double single_s = cpu_seconds() - single_begin;

    std::atomic<bool> stop = false;
    std::atomic<double> busy_ns = 0;
    quiescence.reading(true);
    std::thread reader([&] {
        std::vector<double> rounds;
        while (!stop.load()) {
            std::size_t found = 0;
            const double start = cpu_seconds();
            for (std::size_t i = 0; i < kLookups; ++i) {
                if (i % 32 == 0)
                    quiescence.quiescent();
                const table::View& view = *store.load().find(1);
                std::uint32_t word = 0;
                std::memcpy(&word, wanted[i].bytes.data(), sizeof word);
                found += store.find_address4(view, __builtin_bswap32(word));
            }
            rounds.push_back((cpu_seconds() - start) * 1e9 / kLookups);
            if (found == 0)
                std::puts("nothing found");
        }
        std::sort(rounds.begin(), rounds.end());
        busy_ns = rounds.empty() ? 0 : rounds[rounds.size() / 2];
        quiescence.reading(false);
    });
    std::size_t made = 0;
    const auto begin = Clock::now();
    while (seconds_since(begin) < 3) {
        for (int i = 0; i < 10; ++i, ++made)
            carry_out(store, {change(made % 2 == 0 ? contract::TableVerb::remove
                                                   : contract::TableVerb::add,
                                     others[made / 2 % others.size()])});
        const double ahead = static_cast<double>(made) / 10000 - seconds_since(begin);
        if (ahead > 0)
            std::this_thread::sleep_for(std::chrono::duration<double>(ahead));
    }
    const double rate = static_cast<double>(made) / seconds_since(begin);
    stop = true;
    reader.join();
    std::printf(
        "\n%zu prefixes of IPv4: %.0f additions a second, each published by itself; a look-up "
        "takes %.0f ns, and %.0f ns while %.0f entries a second change.\n",
        count, static_cast<double>(others.size()) / single_s, quiet_ns, busy_ns.load(), rate);
}

}  // namespace

int main(int argc, char** argv) {
    const std::size_t largest = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1'000'000;
    peers::start_dpdk(argv[0]);
    std::puts(
        "| family | prefixes | bytes a prefix | ns a look-up in bursts of 64 | rte_fib, rte_fib6 | "
        "rte_lpm | ratio to the faster | ns, one by one | rte_fib, rte_fib6 | rte_lpm | ratio | "
        "ns, one by one, of anything | million additions a second, in one batch |");
    std::puts("|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    for (const bool v6 : {false, true})
        for (std::size_t count = 1000; count <= largest; count *= 10)
            by_size(count, v6);
    std::puts(
        "\n| exact keys | entries | bytes an entry | ns a look-up, one by one | rte_hash | ratio | "
        "rte_hash in bursts of 64 |");
    std::puts("|---|---|---|---|---|---|---|");
    for (const auto type : {contract::TableType::number, contract::TableType::flow})
        for (std::size_t count = 1000; count <= largest; count *= 10)
            exact(count, type);
    while_changing(largest);
    return 0;
}
