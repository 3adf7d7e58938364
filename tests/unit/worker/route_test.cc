// The ways through a gateway must agree: packets that are routed as a whole burst, those that are
// picked out of one, and those that are looked at one by one.
#include <gtest/gtest.h>
#include <rte_mbuf.h>
#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <random>

#include "dataplane/packet/checksum.h"
#include "dataplane/worker/mempool.h"
#include "dataplane/worker/port.h"
#include "dataplane/worker/worker.h"
#include "tests/unit/worker/support.h"

namespace sluice::worker {
namespace {

constexpr unsigned kPorts = 3;
constexpr packet::InterfaceIndex kVlan = 3;
constexpr std::uint16_t kTag = 42;

MacAddress mac_of(unsigned number) {
    return {{2, 0, 0, 0, 0, static_cast<std::uint8_t>(number)}};
}

Bytes bytes_of(const MacAddress& mac) {
    return Bytes(mac.bytes.begin(), mac.bytes.end());
}

class Chance {
  public:
    unsigned below(unsigned end) { return static_cast<unsigned>(generator_() % end); }
    bool one_in(unsigned end) { return below(end) == 0; }
    unsigned one_of(std::initializer_list<unsigned> values) {
        return values.begin()[below(static_cast<unsigned>(values.size()))];
    }

  private:
    std::mt19937 generator_{7};
};

Bytes payload(Chance& chance, unsigned protocol) {
    const Bytes ports = be16(4000 + chance.below(50)) + be16(chance.one_of({9, 10, 53, 80, 443}));
    const std::size_t length = chance.below(8) == 0 ? 300 : 8 + chance.below(40);
    if (protocol == 17)
        return ports + be16(static_cast<unsigned>(8 + length)) + be16(0) + Bytes(length, 0x5a);
    if (protocol == 6)
        return ports + Bytes(8, 1) + Bytes{0x50, 0x10} + Bytes(6, 0) + Bytes(length, 0x5a);
    return Bytes{8, 0} + Bytes(6 + length, 0);
}

struct Kind {
    unsigned odd = 0;  // one frame in so many is not what most are; 0: none
    unsigned ipv6 = 4;
    bool clean = false;  // no header is odd either, and many in a row go one way
};

Bytes ip4(Chance& chance, unsigned source, unsigned network, bool clean) {
    const unsigned protocol = clean ? 17 : chance.one_of({17, 17, 6, 1, 47});
    const Bytes body = payload(chance, protocol);
    const bool options = (!clean && chance.one_in(40));
    const unsigned length = static_cast<unsigned>((options ? 24 : 20) + body.size());
    const unsigned flags = !clean && chance.one_in(30) ? 0x2000 : chance.one_in(3) ? 0x4000 : 0;
    const unsigned ttl = (!clean && chance.one_in(20)) ? chance.below(3) : 64;
    Bytes header =
        Bytes{static_cast<std::uint8_t>(options ? 0x46 : 0x45), 0} + be16(length) +
        be16(chance.below(65536)) + be16(flags) +
        Bytes{static_cast<std::uint8_t>(ttl), static_cast<std::uint8_t>(protocol)} + be16(0) +
        Bytes{static_cast<std::uint8_t>(source), 77, 0,
              static_cast<std::uint8_t>(chance.below(4))} +
        Bytes{static_cast<std::uint8_t>(
                  (!clean && chance.one_in(40)) ? chance.one_of({0, 127, 224, 250}) : 10),
              static_cast<std::uint8_t>(network), 0, static_cast<std::uint8_t>(chance.below(4))};
    if (options)
        header = header + Bytes(4, 1);
    packet::Checksum sum;
    sum.add(std::as_bytes(std::span(header)));
    const Be16 right = sum.finish();
    header[10] = right.bytes[0];
    header[11] = static_cast<std::uint8_t>(right.bytes[1] ^ (!clean && chance.one_in(30) ? 1 : 0));
    return header + body;
}

Bytes ip6(Chance& chance, unsigned source, unsigned network, bool clean) {
    const unsigned protocol = chance.one_of({17, 6, 58});
    const Bytes body = payload(chance, protocol);
    const unsigned limit = (!clean && chance.one_in(20)) ? chance.below(3) : 64;
    const auto address = [&](unsigned first, unsigned second) {
        return Bytes{static_cast<std::uint8_t>(first), 1, static_cast<std::uint8_t>(second)} +
               Bytes(12, 0) + Bytes{static_cast<std::uint8_t>(chance.below(4))};
    };
    return Bytes{0x60, 0, 0, 0} + be16(static_cast<unsigned>(body.size())) +
           Bytes{static_cast<std::uint8_t>(protocol), static_cast<std::uint8_t>(limit)} +
           address(source == 10 ? 0x20 : chance.one_of({0, 0xfe, 0xff}), 77) +
           address((!clean && chance.one_in(40)) ? chance.one_of({0, 0xff}) : 0x20, network) + body;
}

// `network` is that of the frame before.
Bytes frame(Chance& chance, const Kind& kind, unsigned& network) {
    const bool odd = kind.odd != 0 && chance.one_in(kind.odd);
    Bytes to = bytes_of(mac_of(0));
    if (odd && chance.one_in(3))
        to = chance.one_in(2) ? Bytes(6, 0xff) : bytes_of(mac_of(90));
    const Bytes addresses = to + bytes_of(mac_of(80));
    if (odd && chance.one_in(4))
        return addresses + be16(0x0806) + Bytes(28, 0);
    const Bytes tag = odd && chance.one_in(4) ? be16(0x8100) + be16(7) : Bytes{};
    const unsigned source = !kind.clean && chance.one_in(30) ? chance.one_of({0, 127, 230}) : 10;
    if (!kind.clean || chance.one_in(40))
        network = kind.clean ? chance.one_of({2, 3, 7, 10, 11}) : chance.below(13);
    const bool is_6 = kind.ipv6 != 0 && chance.one_in(kind.ipv6);
    return addresses + tag + be16(is_6 ? 0x86dd : 0x0800) +
           (is_6 ? ip6(chance, source, network, kind.clean)
                 : ip4(chance, source, network, kind.clean)) +
           Bytes(chance.one_in(10) ? 20 : 0, 0);
}

struct Outcome {
    std::vector<Bytes> sent[kPorts];  // in no order
    std::vector<std::uint64_t> drops;
    std::uint64_t to_host = 0, received_bytes = 0, dropped = 0, waited = 0, errors = 0;
    // By rule: packets and bytes that it was counted for.
    std::vector<std::pair<std::uint64_t, std::uint64_t>> rules;

    bool operator==(const Outcome&) const = default;
};

class RouteTest : public testing::Test {
  protected:
    enum class Way { whole, in_pieces, marked };

    void SetUp() override {
        // What the gateway wants of the kernel concerns nobody else.
        if (unshare(CLONE_NEWNET) != 0)
            GTEST_SKIP() << "no network namespace: this needs root";
        ASSERT_EQ(std::system("ip link set lo up"), 0);
        auto pool = Mempool::create({.name = "route_" + std::to_string(getpid()),
                                     .buffers = 2047,
                                     .room = 2048,
                                     .socket = -1});
        ASSERT_TRUE(pool) << pool.error().message;
        pool_ = std::make_unique<Mempool>(std::move(*pool));
        for (unsigned i = 0; i < kPorts; ++i) {
            auto port = EthPort::probe("em" + std::to_string(i), rings_[i].device());
            ASSERT_TRUE(port) << port.error().message;
            ASSERT_TRUE(port->start({.pool = pool_->get()}));
            ports_.push_back(std::move(*port));
            environment_.interfaces.push_back(
                {.name = "em" + std::to_string(i),
                 .addresses = {{*parse_ipv4("10.9.0." + std::to_string(i + 1)), 24},
                               {*parse_ipv6("2001:900::" + std::to_string(i + 1)), 64}},
                 .port = static_cast<std::uint16_t>(i),
                 .mac = mac_of(i)});
        }
        environment_.interfaces.push_back(
            {.name = "em2.42", .addresses = {}, .port = 2, .vlan = kTag, .mac = mac_of(2)});
        auto fib = route::Fib::create({});
        ASSERT_TRUE(fib);
        fib_ = std::move(*fib);
        add_routes("10.", ".0.0", 16, "10.200.0.");
        add_routes("2001:", "00::", 24, "2001:c800::");
        auto solicitations = Solicitations::create(1);
        ASSERT_TRUE(solicitations);
        solicitations_ = std::make_unique<Solicitations>(std::move(*solicitations));
    }

    // The network of each number has another kind of route.
    void add_routes(const std::string& before, const std::string& behind, unsigned length,
                    const std::string& gateways) {
        const auto address = [](const std::string& text) -> route::Address {
            if (const auto v4 = parse_ipv4(text))
                return *v4;
            return *parse_ipv6(text);
        };
        const auto set = [&](unsigned number, const route::Route& route) {
            const std::string digit = gateways.find(':') == std::string::npos || number < 10
                                          ? std::to_string(number)
                                          : std::string(1, static_cast<char>('a' + number - 10));
            EXPECT_TRUE(fib_->set_route({address(before + digit + behind), length}, route));
        };
        const auto by = [&](packet::InterfaceIndex interface, unsigned gateway) {
            return route::Path{.interface = interface,
                               .gateway = address(gateways + std::to_string(gateway))};
        };
        for (unsigned gateway = 1; gateway <= 4; ++gateway)
            for (const packet::InterfaceIndex interface : {1, 2, 3})
                EXPECT_TRUE(fib_->set_neighbour(interface,
                                                address(gateways + std::to_string(gateway)),
                                                mac_of(100 + 10U * interface + gateway)));
        set(1, {.paths = {{.interface = 1}}});  // its neighbours are not known
        set(2, {.paths = {by(1, 1)}});
        set(3, {.paths = {by(1, 2), by(2, 3)}});
        set(4, {.kind = route::Kind::blackhole});
        set(5, {.kind = route::Kind::unreachable});
        set(6, {.kind = route::Kind::prohibit});
        set(7, {.paths = {by(1, 1)}, .mtu = length == 16 ? 200U : 1300U});
        set(8, {.paths = {by(2, 9)}});  // a gateway that is not known
        set(9, {.kind = route::Kind::local});
        set(10, {.paths = {by(kVlan, 1)}});
        set(11, {.paths = {by(2, 4)}});
    }

    Outcome outcome_of(const std::vector<Bytes>& frames, const std::vector<std::string>& rules,
                       Way way, unsigned burst) {
        std::vector<std::string> all = rules;
        if (way == Way::marked)
            all.insert(all.begin(), "1 count tag 5 ip from any to any");
        auto runtime =
            program::Runtime::create(image_of(all), environment_, kTestSlots, {.fib = fib_.get()});
        EXPECT_TRUE(runtime) << runtime.error().message;
        contract::WorkerCounters counters{};
        std::vector<contract::RuleCounters> rule_counters(kTestSlots);
        std::vector<contract::SlotAnnotation> annotations(kTestSlots);
        WorkerSpec spec;
        for (unsigned i = 0; i < kPorts; ++i)
            spec.ports.push_back({.device = ports_[i].id(),
                                  .role = WorkerPort::Role::gateway,
                                  .peer = static_cast<std::uint16_t>(i),
                                  .pool = pool_->get(),
                                  .link_up = &link_up_});
        spec.queues = {{.port = 0, .queue = 0}};
        spec.burst = burst;
        spec.reply_rate = spec.reply_burst = 1'000'000;
        spec.counters = &counters;
        spec.outputs = {.counters = rule_counters.data(),
                        .annotations = annotations.data(),
                        .slot_capacity = kTestSlots,
                        .log = log_,
                        .log_dropped = &counters.log_dropped};
        spec.fib = fib_.get();
        spec.host = host_.get();
        spec.solicitations = solicitations_.get();
        Outcome outcome;
        {
            Worker worker(spec);
            for (std::size_t i = 0; i < frames.size(); ++i) {
                rings_[0].receive(way == Way::in_pieces ? make_chain(frames[i], 40)
                                                        : make_packet(frames[i]));
                if ((i + 1) % burst == 0 || i + 1 == frames.size())
                    worker.turn(runtime->get());
                collect(outcome);
            }
        }
        for (auto& sent : outcome.sent)
            std::sort(sent.begin(), sent.end());
        for (const auto& drop : counters.drops)
            outcome.drops.push_back(contract::read(drop));
        outcome.to_host = contract::read(counters.to_host);
        outcome.waited = contract::read(counters.waited_for_neighbour);
        outcome.errors = contract::read(counters.errors_sent);
        outcome.received_bytes = contract::read(counters.ports[0].received_bytes);
        outcome.dropped = contract::read(counters.ports[0].dropped_packets);
        // The first slot of all that is used is the default rule's.
        const std::size_t first = 2 + all.size() - rules.size();
        outcome.rules.emplace_back(contract::read(rule_counters[1].packets),
                                   contract::read(rule_counters[1].bytes));
        for (std::size_t i = first; i < 2 + all.size(); ++i)
            outcome.rules.emplace_back(contract::read(rule_counters[i].packets),
                                       contract::read(rule_counters[i].bytes));
        return outcome;
    }

    void collect(Outcome& outcome) {
        for (unsigned i = 0; i < kPorts; ++i)
            for (Bytes sent = rings_[i].sent(); !sent.empty(); sent = rings_[i].sent())
                outcome.sent[i].push_back(std::move(sent));
    }

    void all_ways_agree(const Kind& kind, const std::vector<std::string>& rules, unsigned burst) {
        for (unsigned round = 0; round < 10; ++round) {
            // Nobody takes what goes up, so each round has room of its own.
            host_.reset();
            auto host = ExceptionPath::open({}, 1, 1);
            ASSERT_TRUE(host) << host.error().message;
            host_ = std::move(*host);
            std::vector<Bytes> frames;
            unsigned network = 2;
            for (unsigned i = 0; i < 256; ++i)
                frames.push_back(frame(chance_, kind, network));
            const Outcome whole = outcome_of(frames, rules, Way::whole, burst);
            const Outcome pieces = outcome_of(frames, rules, Way::in_pieces, burst);
            const Outcome marked = outcome_of(frames, rules, Way::marked, burst);
            EXPECT_FALSE(whole.sent[1].empty() && whole.sent[2].empty());
            ASSERT_TRUE(whole == pieces) << "in round " << round;
            ASSERT_TRUE(whole == marked) << "in round " << round;
        }
    }

    Chance chance_;
    RingPort rings_[kPorts];
    std::unique_ptr<Mempool> pool_;
    std::vector<EthPort> ports_;
    std::atomic<bool> link_up_ = true;
    packet::Environment environment_;
    alignas(64) std::byte log_memory_[contract::log_ring_stride(64)] = {};
    contract::LogRing log_ = contract::LogRing::create(log_memory_, 64);
    std::unique_ptr<route::Fib> fib_;
    std::unique_ptr<ExceptionPath> host_;
    std::unique_ptr<Solicitations> solicitations_;
};

TEST_F(RouteTest, AllWaysAgree) {
    const std::vector<std::string> allow = {"900 allow ip from any to any"};
    const std::vector<std::string> choose = {"100 deny udp from any to any 9 out",
                                             "110 unreach port udp from any to any 10 out",
                                             "120 unreach6 port udp from any to any 10 out",
                                             "130 deny tcp from any to any 443 in",
                                             "140 allow ip from any to any out xmit em1",
                                             "150 allow ip from any to any out xmit em2.42",
                                             "160 allow ip from any to any in recv em0",
                                             "900 allow ip from any to any"};
    for (const std::vector<std::string>& rules : {allow, choose}) {
        all_ways_agree({.odd = 0, .ipv6 = 0, .clean = true}, rules, 32);
        all_ways_agree({.odd = 0, .ipv6 = 1, .clean = true}, rules, 32);
        all_ways_agree({.odd = 50, .ipv6 = 0, .clean = true}, rules, 16);
        all_ways_agree({.odd = 0, .ipv6 = 0}, rules, 32);
        all_ways_agree({.odd = 0, .ipv6 = 1}, rules, 32);
        all_ways_agree({.odd = 0, .ipv6 = 4}, rules, 64);
        all_ways_agree({.odd = 5, .ipv6 = 4}, rules, 32);
        all_ways_agree({.odd = 30, .ipv6 = 8}, rules, 3);
        all_ways_agree({.odd = 5, .ipv6 = 3}, rules, 1);
    }
}

}  // namespace
}  // namespace sluice::worker
