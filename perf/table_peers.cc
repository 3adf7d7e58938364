#include "perf/table_peers.h"

#include <rte_eal.h>
#include <rte_fib.h>
#include <rte_fib6.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <rte_lpm.h>
#include <sched.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace sluice::peers {

namespace {

// Groups of 256, for what is longer than 24 bits; half a kilobyte each in IPv6, a whole one in
// IPv4.
constexpr std::uint32_t kGroups4 = 1u << 18, kGroups6 = 1u << 21;
// rte_lpm searches its rules in order when one is added.
constexpr std::size_t kLpmPrefixes = 100'000;

[[noreturn]] void fail(const std::string& why) {
    std::fprintf(stderr, "table_benchmark: %s\n", why.c_str());
    std::exit(1);
}

std::string new_name(const char* what) {
    static unsigned count = 0;
    return what + std::to_string(count++);
}

std::uint32_t host_address(const std::uint8_t* bytes) {
    std::uint32_t word;
    std::memcpy(&word, bytes, sizeof word);
    return __builtin_bswap32(word);
}

std::uint32_t number_of(std::size_t i) {
    return static_cast<std::uint32_t>(1 + i % kNumbers);
}

class Fib4 final : public PrefixPeer {
  public:
    static std::unique_ptr<PrefixPeer> make(const std::vector<contract::TableKey>& keys) {
        rte_fib_conf config{};
        config.type = RTE_FIB_DIR24_8;
        config.max_routes = static_cast<int>(2 * keys.size() + 1000);
        config.dir24_8.nh_sz = RTE_FIB_DIR24_8_4B;
        config.dir24_8.num_tbl8 = kGroups4;
        auto result = std::make_unique<Fib4>();
        result->fib_ = rte_fib_create(new_name("fib").c_str(), SOCKET_ID_ANY, &config);
        if (result->fib_ == nullptr)
            fail("rte_fib_create");
        for (std::size_t i = 0; i < keys.size(); ++i)
            if (rte_fib_add(result->fib_, host_address(keys[i].bytes.data()), keys[i].prefix_length,
                            number_of(i)) != 0)
                return nullptr;
        return result;
    }
    ~Fib4() override { rte_fib_free(fib_); }
    const char* name() const override { return "rte_fib"; }
    void find(std::span<const Ipv6> addresses, std::uint32_t* numbers) override {
        std::array<std::uint32_t, kBurst> words;
        std::array<std::uint64_t, kBurst> found;
        for (std::size_t i = 0; i < addresses.size(); ++i)
            words[i] = host_address(addresses[i].bytes.data());
        rte_fib_lookup_bulk(fib_, words.data(), found.data(), static_cast<int>(addresses.size()));
        for (std::size_t i = 0; i < addresses.size(); ++i)
            numbers[i] = static_cast<std::uint32_t>(found[i]);
    }

  private:
    rte_fib* fib_ = nullptr;
};

class Fib6 final : public PrefixPeer {
  public:
    static std::unique_ptr<PrefixPeer> make(const std::vector<contract::TableKey>& keys) {
        rte_fib6_conf config{};
        config.type = RTE_FIB6_TRIE;
        config.max_routes = static_cast<int>(2 * keys.size() + 1000);
        config.trie.nh_sz = RTE_FIB6_TRIE_4B;
        config.trie.num_tbl8 = kGroups6;
        auto result = std::make_unique<Fib6>();
        result->fib_ = rte_fib6_create(new_name("fib").c_str(), SOCKET_ID_ANY, &config);
        if (result->fib_ == nullptr)
            fail("rte_fib6_create");
        for (std::size_t i = 0; i < keys.size(); ++i)
            if (rte_fib6_add(result->fib_, keys[i].bytes.data(), keys[i].prefix_length,
                             number_of(i)) != 0)
                return nullptr;
        return result;
    }
    ~Fib6() override { rte_fib6_free(fib_); }
    const char* name() const override { return "rte_fib6"; }
    void find(std::span<const Ipv6> addresses, std::uint32_t* numbers) override {
        std::array<std::uint64_t, kBurst> found;
        auto* bytes = const_cast<std::uint8_t*>(addresses.data()->bytes.data());
        rte_fib6_lookup_bulk(fib_, reinterpret_cast<std::uint8_t(*)[16]>(bytes), found.data(),
                             static_cast<int>(addresses.size()));
        for (std::size_t i = 0; i < addresses.size(); ++i)
            numbers[i] = static_cast<std::uint32_t>(found[i]);
    }

  private:
    rte_fib6* fib_ = nullptr;
};

class Lpm final : public PrefixPeer {
  public:
    explicit Lpm(const std::vector<contract::TableKey>& keys) {
        const rte_lpm_config config{.max_rules = static_cast<std::uint32_t>(2 * keys.size() + 1000),
                                    .number_tbl8s = kGroups4,
                                    .flags = 0};
        lpm_ = rte_lpm_create(new_name("lpm").c_str(), SOCKET_ID_ANY, &config);
        if (lpm_ == nullptr)
            fail("rte_lpm_create");
        for (std::size_t i = 0; i < keys.size(); ++i)
            if (rte_lpm_add(lpm_, host_address(keys[i].bytes.data()), keys[i].prefix_length,
                            number_of(i)) != 0)
                fail("rte_lpm_add");
    }
    ~Lpm() override { rte_lpm_free(lpm_); }
    const char* name() const override { return "rte_lpm"; }
    void find(std::span<const Ipv6> addresses, std::uint32_t* numbers) override {
        if (addresses.size() == 1) {
            if (rte_lpm_lookup(lpm_, host_address(addresses[0].bytes.data()), numbers) != 0)
                *numbers = 0;
            return;
        }
        std::array<std::uint32_t, kBurst> words;
        for (std::size_t i = 0; i < addresses.size(); ++i)
            words[i] = host_address(addresses[i].bytes.data());
        rte_lpm_lookup_bulk(lpm_, words.data(), numbers, static_cast<unsigned>(addresses.size()));
        for (std::size_t i = 0; i < addresses.size(); ++i)
            numbers[i] = (numbers[i] & RTE_LPM_LOOKUP_SUCCESS) != 0 ? numbers[i] & 0xffffff : 0;
    }

  private:
    rte_lpm* lpm_ = nullptr;
};

}  // namespace

void start_dpdk(const char* program) {
    // EAL would move this thread to a CPU of its own choice.
    std::string arguments[] = {program,
                               "--no-huge",
                               "-m",
                               "8192",
                               "--no-pci",
                               "--no-telemetry",
                               "--no-shconf",
                               "--iova-mode=va",
                               "--log-level=error",
                               "--lcores=0@" + std::to_string(sched_getcpu())};
    std::vector<char*> eal;
    for (std::string& argument : arguments)
        eal.push_back(argument.data());
    if (rte_eal_init(static_cast<int>(eal.size()), eal.data()) < 0)
        fail("DPDK does not start");
}

std::unique_ptr<PrefixPeer> make_fib(const std::vector<contract::TableKey>& keys) {
    return keys.front().ip_version == 6 ? Fib6::make(keys) : Fib4::make(keys);
}

std::unique_ptr<PrefixPeer> make_lpm(const std::vector<contract::TableKey>& keys) {
    if (keys.size() > kLpmPrefixes)
        return nullptr;
    return std::make_unique<Lpm>(keys);
}

struct HashPeer::Handle {
    rte_hash* hash = nullptr;
};

HashPeer::HashPeer(std::span<const std::byte> keys, std::size_t key_size)
    : handle_(std::make_unique<Handle>()) {
    const auto count = static_cast<std::uint32_t>(keys.size() / key_size);
    const std::string name = new_name("hash");
    rte_hash_parameters parameters{};
    parameters.name = name.c_str();
    // It is not promised to take the last entries of a table without spare places.
    parameters.entries = count + count / 8 + 64;
    parameters.key_len = static_cast<std::uint32_t>(key_size);
    parameters.hash_func = rte_hash_crc;
    handle_->hash = rte_hash_create(&parameters);
    if (handle_->hash == nullptr)
        fail("rte_hash_create");
    for (std::uint32_t i = 0; i < count; ++i)
        if (rte_hash_add_key(handle_->hash, keys.data() + i * key_size) < 0)
            fail("rte_hash refuses a key");
}

HashPeer::~HashPeer() {
    rte_hash_free(handle_->hash);
}

std::size_t HashPeer::find(const std::byte* const* keys, std::size_t count) {
    std::array<const void*, kBurst> wanted;
    std::array<std::int32_t, kBurst> positions;
    for (std::size_t i = 0; i < count; ++i)
        wanted[i] = keys[i];
    rte_hash_lookup_bulk(handle_->hash, wanted.data(), static_cast<std::uint32_t>(count),
                         positions.data());
    std::size_t found = 0;
    for (std::size_t i = 0; i < count; ++i)
        found += positions[i] >= 0 ? 1 : 0;
    return found;
}

bool HashPeer::find(const std::byte* key) {
    return rte_hash_lookup(handle_->hash, key) >= 0;
}

}  // namespace sluice::peers
