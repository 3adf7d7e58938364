#include "dataplane/host/follower.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "dataplane/host/kernel_neighbours.h"
#include "dataplane/host/kernel_routes.h"
#include "dataplane/host/netlink_socket.h"

namespace sluice::host {

namespace {

// What happens to the tables of the kernel comes in bunches.
constexpr std::uint64_t kResyncDelayMs = 100;
constexpr std::uint64_t kRetryMs = 1000;
constexpr std::uint64_t kRefreshMs = 1000;
constexpr std::uint64_t kComplaintMs = 10000;
constexpr unsigned kMaximumInterruptions = 8;
constexpr std::size_t kPrefixesPerTurn = 20000;
constexpr std::size_t kNeighboursPerTurn = 4096;
constexpr std::size_t kRetriesPerTurn = 256;

// The dumps of a resync, in this order: routes and neighbours need to know the links.
enum class Step : std::uint8_t { none, links, addresses, neighbours, routes4, routes6 };

bool is_route_step(Step step) {
    return step == Step::routes4 || step == Step::routes6;
}
bool is_link_step(Step step) {
    return step != Step::none && !is_route_step(step);
}

}  // namespace

struct Follower::Implementation {
    Implementation(const Settings& wanted, route::Fib& table)
        : settings(wanted),
          fib(table),
          interfaces(wanted.ports, wanted.first_vlan),
          routes(interfaces, table),
          neighbours(interfaces, table) {}

    Result<Done> open();
    bool handle(std::uint64_t now);

    void want_links(std::uint64_t due) { links_due = std::min(links_due.value_or(due), due); }
    void want_routes(std::uint64_t due) { routes_due = std::min(routes_due.value_or(due), due); }
    void start_resync();
    void begin(Step next);
    void request();
    void end_step();
    void give_up_dump(const std::string& why);
    bool read_dump(unsigned& budget);
    // False: the dump is over.
    bool take_dump_message(const nlmsghdr* header);
    bool read_events(NetlinkSocket& socket, bool of_routes, unsigned& budget);
    void apply(const Message& message);
    void apply_link(const LinkMessage& message);
    void links_changed(const Interfaces::Touched& touched);
    void refresh_neighbours();
    template <typename Work>
    void for_each_message(std::span<const std::byte> bytes, Work work);

    Settings settings;
    route::Fib& fib;
    Interfaces interfaces;
    KernelRoutes routes;
    KernelNeighbours neighbours;
    std::optional<NetlinkSocket> link_events;
    std::optional<NetlinkSocket> route_events;
    std::optional<NetlinkSocket> dumps;
    std::optional<NetlinkSocket> orders;

    Step step = Step::none;
    Step last_step = Step::none;
    bool interrupted = false;
    bool unconfirmed = false;  // the dump of a step was not complete
    unsigned interruptions = 0;
    std::uint32_t sequence = 0;  // of the dump that is being read
    std::uint32_t order_sequence = 0;
    std::optional<std::uint64_t> links_due = 0;
    std::optional<std::uint64_t> routes_due = 0;
    bool complete = false;
    bool dumped_once = false;

    std::uint64_t now_ms = 0;
    std::uint64_t retry_ms = 0;
    std::uint64_t refresh_ms = 0;
    bool refreshing = false;
    std::vector<KernelNeighbours::Wanted> wanted;
    Counters counters;
    std::string failure;
    std::optional<std::uint64_t> complained_ms;
};

Result<Done> Follower::Implementation::open() {
    const auto put = [](auto& socket, const NetlinkSocket::Spec& spec) -> Result<Done> {
        auto opened = NetlinkSocket::open(spec);
        if (!opened)
            return opened.error();
        socket.emplace(std::move(*opened));
        return Done{};
    };
    // Apart, so that a flood of routes neither delays nor loses what is said about links.
    const NetlinkSocket::Spec links = {
        .groups = {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_NEIGH},
        .receive_buffer = settings.receive_buffer};
    const NetlinkSocket::Spec all_routes = {
        .groups = {RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_NEXTHOP},
        .receive_buffer = settings.receive_buffer};
    if (auto done = put(link_events, links); !done)
        return done;
    if (auto done = put(route_events, all_routes); !done)
        return done;
    if (auto done = put(dumps, {}); !done)
        return done;
    return put(orders, {});
}

template <typename Work>
void Follower::Implementation::for_each_message(std::span<const std::byte> bytes, Work work) {
    while (bytes.size() >= sizeof(nlmsghdr)) {
        const auto* header = reinterpret_cast<const nlmsghdr*>(bytes.data());
        if (header->nlmsg_len < sizeof *header || header->nlmsg_len > bytes.size()) {
            ++counters.malformed;
            return;
        }
        ++counters.messages;
        if (!work(header))
            return;
        bytes = bytes.subspan(std::min<std::size_t>(bytes.size(), NLMSG_ALIGN(header->nlmsg_len)));
    }
}

void Follower::Implementation::begin(Step next) {
    step = next;
    interruptions = 0;
    unconfirmed = false;
    switch (next) {
        case Step::links:
            interfaces.begin_link_dump();
            break;
        case Step::addresses:
            interfaces.begin_address_dump();
            break;
        case Step::neighbours:
            neighbours.begin_dump();
            break;
        case Step::routes4:
            routes.begin_dump();
            break;
        case Step::routes6:
        case Step::none:
            break;
    }
    if (next != Step::none)
        request();
}

void Follower::Implementation::request() {
    interrupted = false;
    ++sequence;
    unsigned type = RTM_GETROUTE;
    unsigned char family = AF_UNSPEC;
    if (step == Step::links)
        type = RTM_GETLINK;
    else if (step == Step::addresses)
        type = RTM_GETADDR;
    else if (step == Step::neighbours)
        type = RTM_GETNEIGH;
    else
        family = step == Step::routes4 ? AF_INET : AF_INET6;
    if (!dumps->request_dump(type, family, sequence))
        give_up_dump(std::strerror(errno));
}

// What has been read so far is right; what is gone stays until the next dump.
void Follower::Implementation::give_up_dump(const std::string& why) {
    failure = "netlink: the kernel's tables could not be read (" + why + "); trying again";
    step = Step::none;
    want_links(now_ms + kRetryMs);
    want_routes(now_ms + kRetryMs);
}

void Follower::Implementation::start_resync() {
    const auto due = [&](const auto& when) { return when && *when <= now_ms; };
    if (step != Step::none || routes.scanning())
        return;
    const bool links = due(links_due);
    const bool all_routes = due(routes_due);
    if (!links && !all_routes)
        return;
    last_step = all_routes ? Step::routes6 : Step::neighbours;
    if (links)
        links_due.reset();
    if (all_routes)
        routes_due.reset();
    begin(links ? Step::links : Step::routes4);
}

void Follower::Implementation::end_step() {
    if (interrupted) {
        ++counters.interrupted;
        if (++interruptions < kMaximumInterruptions) {
            request();
            return;
        }
        // Nothing is withdrawn by a dump that never became whole.
        unconfirmed = true;
        if (is_route_step(step))
            want_routes(now_ms + kRetryMs);
        else
            want_links(now_ms + kRetryMs);
    }
    const Step ended = step;
    if (!unconfirmed) {
        if (ended == Step::links)
            links_changed(interfaces.end_link_dump());
        else if (ended == Step::addresses)
            interfaces.end_address_dump();
        else if (ended == Step::neighbours)
            neighbours.end_dump();
        else if (ended == Step::routes6)
            routes.end_dump();
    }
    // Both families are confirmed by one sweep.
    const bool no_sweep = ended == Step::routes4 && unconfirmed;
    if (ended == last_step || no_sweep) {
        step = Step::none;
        counters.resyncs += ended == Step::routes6 && !unconfirmed ? 1 : 0;
        dumped_once = dumped_once || ended == Step::routes6;
        return;
    }
    begin(static_cast<Step>(static_cast<unsigned>(ended) + 1));
}

bool Follower::Implementation::take_dump_message(const nlmsghdr* header) {
    if (header->nlmsg_seq != sequence)
        return true;  // of a dump that was given up
    interrupted = interrupted || (header->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
    if (header->nlmsg_type == NLMSG_DONE || header->nlmsg_type == NLMSG_ERROR) {
        std::int32_t code = 0;
        if (header->nlmsg_len >= NLMSG_LENGTH(sizeof code))
            std::memcpy(&code, NLMSG_DATA(header), sizeof code);
        if (header->nlmsg_type == NLMSG_ERROR || code < 0)
            give_up_dump(std::strerror(-code));
        else
            end_step();
        return false;
    }
    const auto message =
        parse_message({reinterpret_cast<const std::byte*>(header), header->nlmsg_len});
    if (!message)
        ++counters.malformed;
    else if (const auto* route = std::get_if<RouteMessage>(&*message))
        routes.confirm(*route);
    else
        apply(*message);
    return true;
}

bool Follower::Implementation::read_dump(unsigned& budget) {
    while (step != Step::none && budget > 0) {
        const auto outcome = dumps->receive();
        if (outcome == NetlinkSocket::Outcome::nothing)
            return false;
        if (outcome == NetlinkSocket::Outcome::overrun) {
            ++counters.overruns;
            interrupted = true;
            continue;
        }
        if (outcome == NetlinkSocket::Outcome::failed) {
            give_up_dump(std::strerror(errno));
            return true;
        }
        for_each_message(dumps->received(), [&](const nlmsghdr* header) {
            budget -= std::min(budget, 1U);
            return take_dump_message(header);
        });
    }
    return step != Step::none;
}

bool Follower::Implementation::read_events(NetlinkSocket& socket, bool of_routes,
                                           unsigned& budget) {
    while (budget > 0) {
        const auto outcome = socket.receive();
        if (outcome == NetlinkSocket::Outcome::nothing)
            return false;
        if (outcome != NetlinkSocket::Outcome::messages) {
            counters.overruns += outcome == NetlinkSocket::Outcome::overrun ? 1 : 0;
            if (!of_routes)
                want_links(now_ms + kResyncDelayMs);
            want_routes(now_ms + kResyncDelayMs);
            if (outcome == NetlinkSocket::Outcome::failed)
                return false;
            continue;
        }
        for_each_message(socket.received(), [&](const nlmsghdr* header) {
            budget -= std::min(budget, 1U);
            const auto message =
                parse_message({reinterpret_cast<const std::byte*>(header), header->nlmsg_len});
            if (message)
                apply(*message);
            else
                ++counters.malformed;
            return true;
        });
    }
    return true;
}

void Follower::Implementation::apply(const Message& message) {
    if (const auto* link = std::get_if<LinkMessage>(&message)) {
        apply_link(*link);
    } else if (const auto* address = std::get_if<AddressMessage>(&message)) {
        const bool changed = interfaces.apply(*address);
        // IPv4 routes that had it as their source go without a word.
        if (changed && address->change == Change::removed)
            want_routes(now_ms + kResyncDelayMs);
    } else if (const auto* route = std::get_if<RouteMessage>(&message)) {
        if (!routes.apply(*route))
            want_routes(now_ms + kResyncDelayMs);
    } else if (const auto* neighbour = std::get_if<NeighbourMessage>(&message)) {
        neighbours.apply(*neighbour);
    } else if (const auto* object = std::get_if<NextHopObjectMessage>(&message)) {
        if (routes.uses(object->id))
            want_routes(now_ms + kResyncDelayMs);
    }
}

void Follower::Implementation::apply_link(const LinkMessage& message) {
    const Interfaces::Link* known = interfaces.find(message.index);
    const bool was_ours = known != nullptr && known->interface != packet::kNoInterface;
    const bool was_up = known != nullptr && known->seen.up;
    const auto touched = interfaces.apply(message);
    if (touched.empty())
        return;
    known = interfaces.find(message.index);
    const bool is_ours = known != nullptr && known->interface != packet::kNoInterface;
    const bool is_up = known != nullptr && known->seen.up;
    // The kernel takes IPv4 routes of a link that goes down without a word, and revives paths when
    // it comes up.
    const bool routes_follow = step == Step::links && last_step == Step::routes6;
    if (was_up != is_up && !routes_follow)
        want_routes(now_ms + kResyncDelayMs);
    if (is_ours && !was_ours && step != Step::links)
        want_links(now_ms + kResyncDelayMs);
    links_changed(touched);
}

void Follower::Implementation::links_changed(const Interfaces::Touched& touched) {
    if (touched.empty())
        return;
    neighbours.touch(touched);
    routes.touch(touched);
}

void Follower::Implementation::refresh_neighbours() {
    if (!refreshing && now_ms - refresh_ms < kRefreshMs)
        return;
    if (!refreshing)
        refresh_ms = now_ms;
    wanted.clear();
    refreshing = neighbours.refresh(kNeighboursPerTurn, wanted);
    for (const KernelNeighbours::Wanted& neighbour : wanted)
        counters.refreshed +=
            orders->probe_neighbour(neighbour.link, neighbour.address, ++order_sequence) ? 1 : 0;
}

bool Follower::Implementation::handle(std::uint64_t now) {
    now_ms = now;
    start_resync();
    // An event of before the dump is repeated after it, in order; during it, it would undo what is
    // newer.
    unsigned budget = settings.messages_per_turn;
    bool more = false;
    if (!is_link_step(step))
        more = read_events(*link_events, false, budget);
    if (!is_route_step(step))
        more = read_events(*route_events, true, budget) || more;
    more = read_dump(budget) || more;
    while (orders->receive() != NetlinkSocket::Outcome::nothing) {
    }
    if (now_ms - retry_ms >= kRetryMs) {
        retry_ms = now_ms;
        routes.retry_refused(kRetriesPerTurn);
    }
    more = routes.scan(kPrefixesPerTurn) || more;
    routes.flush();
    refresh_neighbours();
    complete = complete || (dumped_once && !routes.scanning());
    return more || refreshing || step != Step::none;
}

Result<std::unique_ptr<Follower>> Follower::create(const Settings& settings, route::Fib& fib) {
    auto implementation = std::make_unique<Implementation>(settings, fib);
    if (auto done = implementation->open(); !done)
        return done.error();
    return std::unique_ptr<Follower>(new Follower(std::move(implementation)));
}

Follower::Follower(std::unique_ptr<Implementation> implementation)
    : implementation_(std::move(implementation)) {}

Follower::~Follower() = default;

std::vector<int> Follower::fds() const {
    return {implementation_->link_events->fd(), implementation_->route_events->fd(),
            implementation_->dumps->fd(), implementation_->orders->fd()};
}

bool Follower::handle(std::uint64_t now_ms) {
    return implementation_->handle(now_ms);
}

bool Follower::complete() const {
    return implementation_->complete;
}

bool Follower::environment_changed() {
    return implementation_->interfaces.take_change();
}

const std::vector<packet::Interface>& Follower::interfaces() const {
    return implementation_->interfaces.list();
}

bool Follower::solicit(packet::InterfaceIndex interface, const route::Address& address,
                       std::uint64_t now_ms) {
    Implementation& own = *implementation_;
    const auto link = own.interfaces.link_of(interface);
    if (!link || !own.neighbours.may_ask(*link, address, now_ms) ||
        !own.orders->probe_neighbour(*link, address, ++own.order_sequence)) {
        ++own.counters.not_solicited;
        return false;
    }
    ++own.counters.solicited;
    return true;
}

Follower::Counters Follower::counters() const {
    Counters counters = implementation_->counters;
    counters.withdrawn = implementation_->routes.counters().withdrawn;
    counters.refused =
        implementation_->routes.counters().refused + implementation_->neighbours.refused();
    counters.interfaces_refused = implementation_->interfaces.refused();
    return counters;
}

std::optional<std::string> Follower::complaint() {
    Implementation& own = *implementation_;
    if (own.complained_ms && own.now_ms - *own.complained_ms < kComplaintMs)
        return std::nullopt;
    std::string sentence = std::exchange(own.failure, {});
    if (sentence.empty())
        sentence = own.routes.take_refusal();
    if (sentence.empty())
        sentence = own.neighbours.take_refusal();
    if (sentence.empty())
        return std::nullopt;
    own.complained_ms = own.now_ms;
    return sentence;
}

}  // namespace sluice::host
