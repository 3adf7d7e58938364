#include "dataplane/worker/exception_path.h"

#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <rte_mbuf.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "dataplane/packet/parser.h"
#include "dataplane/worker/clock.h"
#include "dataplane/worker/sender.h"

namespace sluice::worker {

namespace {

constexpr unsigned kRing = 1024;      // frames of a worker that wait for the kernel, and back
constexpr unsigned kBurst = 32;       // frames moved at once
constexpr unsigned kBuffers = 4096;   // for frames that come down
constexpr int kSleepMs = 100;         // after which links and twins are looked at
constexpr int kSleepWhileFullMs = 1;  // a worker has not made room yet
constexpr std::uint64_t kReviveMs = 1000;
constexpr std::uint8_t kNoPlace = 0xff;
// How long a ruleset waits for the sockets that there are, at most.
constexpr unsigned kFirstRoundMs = 500;

// What buffers say of themselves on their way up.
constexpr std::uint32_t kPlain = 0, kWithOrder = 1;

}  // namespace

Result<std::unique_ptr<ExceptionPath>> ExceptionPath::open(std::vector<TwinOfPort> twins,
                                                           unsigned workers,
                                                           std::uint64_t seed_of_owners) {
    unsigned mtu = 0;
    for (const TwinOfPort& twin : twins)
        mtu = std::max(mtu, twin.spec.mtu);
    auto pool = Mempool::create({.name = "from_host",
                                 .buffers = kBuffers + workers * kRing,
                                 .room = mtu + 14 + 4 * 4,
                                 .socket = -1});
    if (!pool)
        return pool.error();
    auto bell = Bell::create();
    if (!bell)
        return bell.error();
    std::unique_ptr<ExceptionPath> path(new ExceptionPath(
        std::move(twins), workers, std::move(*pool), std::move(*bell), seed_of_owners));
    for (auto& place : path->places_) {
        auto twin = host::Twin::open(place->of.spec);
        if (!twin)
            return twin.error();
        path->put(*place, std::move(*twin));
    }
    path->prepare_delivery();
    auto watch = host::SocketWatch::open(path->owners_);
    if (!watch)
        return watch.error();
    path->watch_ = std::move(*watch);
    return path;
}

void ExceptionPath::prepare_delivery() {
    auto delivery = host::LocalDelivery::open();
    Result<Done> attached = Done{};
    for (auto place = places_.begin(); delivery && attached && place != places_.end(); ++place)
        attached = delivery->attach((*place)->of.spec.name);
    if (delivery && attached)
        delivery_.emplace(std::move(*delivery));
    else
        std::fprintf(stderr,
                     "sluice-dataplane: packets for which fwd names an address of this machine "
                     "will be dropped: %s\n",
                     (delivery ? attached.error() : delivery.error()).message.c_str());
}

ExceptionPath::ExceptionPath(std::vector<TwinOfPort> twins, unsigned workers, Mempool pool,
                             Bell bell, std::uint64_t seed_of_owners)
    : place_of_port_(RTE_MAX_ETHPORTS, kNoPlace),
      pool_(std::move(pool)),
      bell_(std::move(bell)),
      linear_(kLongestFrame),
      owners_(seed_of_owners) {
    for (TwinOfPort& twin : twins) {
        place_of_port_[twin.port] = static_cast<std::uint8_t>(places_.size());
        places_.push_back(std::make_unique<Place>());
        places_.back()->of = std::move(twin);
    }
    for (unsigned worker = 0; worker < workers; ++worker) {
        up_.emplace_back("to_host", kRing);
        down_.emplace_back("from_host", kRing);
    }
}

ExceptionPath::~ExceptionPath() {
    stop();
}

void ExceptionPath::start() {
    thread_ = std::thread([this] { run(); });
}

void ExceptionPath::stop() {
    if (!thread_.joinable())
        return;
    stop_.store(true);
    bell_.ring();
    thread_.join();
}

bool ExceptionPath::give(unsigned worker, std::uint16_t port, rte_mbuf* frame) {
    const bool to_group = (*rte_pktmbuf_mtod(frame, const std::uint8_t*) & 1) != 0;
    if (to_group && up_[worker].room() < kRing / 2)
        return false;
    frame->port = port;
    frame->hash.usr = kPlain;
    return up_[worker].push(std::span(&frame, 1)) == 1;
}

bool ExceptionPath::give_to_socket(unsigned worker, std::uint16_t port, rte_mbuf* frame,
                                   const host::DeliveryOrder& order) {
    std::memcpy(frame->buf_addr, &order, sizeof order);
    frame->port = port;
    frame->hash.usr = kWithOrder;
    return up_[worker].push(std::span(&frame, 1)) == 1;
}

void ExceptionPath::wake() {
    bell_.wake();
}

unsigned ExceptionPath::take(unsigned worker, std::span<rte_mbuf*> frames) {
    return down_[worker].pop(frames);
}

void ExceptionPath::set_link(std::uint16_t port, bool up) {
    if (place_of_port_[port] != kNoPlace)
        places_[place_of_port_[port]]->link_up.store(up, std::memory_order_relaxed);
}

void ExceptionPath::watch_sockets() {
    if (sockets_wanted_.exchange(true))
        return;
    bell_.ring();
    for (unsigned waited = 0; waited < kFirstRoundMs && !sockets_known_.load(); ++waited)
        usleep(1000);
}

void ExceptionPath::leave_sockets() {
    sockets_wanted_.store(false);
}

void ExceptionPath::run() {
    pthread_setname_np(pthread_self(), "sluice-host");
    while (!stop_.load(std::memory_order_relaxed)) {
        const unsigned moved = move_up() + move_down();
        look_after_twins();
        const bool busy = look_after_sockets();
        if (moved == 0 && !busy)
            sleep();
    }
}

unsigned ExceptionPath::move_up() {
    unsigned total = 0;
    for (PacketRing& ring : up_) {
        std::array<rte_mbuf*, kBurst> frames;
        const unsigned count = ring.pop(frames);
        for (unsigned i = 0; i < count; ++i) {
            const std::uint8_t place = place_of_port_[frames[i]->port];
            if (place != kNoPlace)
                write_to(*places_[place], frames[i]);
            rte_pktmbuf_free(frames[i]);
        }
        total += count;
    }
    return total;
}

void ExceptionPath::write_to(Place& place, rte_mbuf* frame) {
    if (place.twin == nullptr)
        return;
    const std::uint32_t length = std::min<std::uint32_t>(frame->pkt_len, kLongestFrame);
    const void* bytes = rte_pktmbuf_read(frame, 0, length, linear_.data());
    const iovec pieces[] = {{.iov_base = const_cast<void*>(bytes), .iov_len = length},
                            {.iov_base = frame->buf_addr, .iov_len = sizeof(host::DeliveryOrder)}};
    // A kernel that does not take it (interface down, no memory) drops it, as it would drop what a
    // network card brings.
    [[maybe_unused]] const ssize_t written =
        writev(place.twin->descriptor(), pieces, frame->hash.usr == kWithOrder ? 2 : 1);
}

unsigned ExceptionPath::move_down() {
    unsigned total = 0;
    out_of_buffers_ = false;
    for (std::size_t i = 0; i < places_.size(); ++i)
        total += read_from(*places_[i], down_[i % down_.size()]);
    return total;
}

unsigned ExceptionPath::read_from(Place& place, PacketRing& ring) {
    if (place.twin == nullptr)
        return 0;
    std::array<rte_mbuf*, kBurst> frames;
    const unsigned room = std::min(ring.room(), kBurst);
    unsigned count = 0;
    while (count < room) {
        rte_mbuf* frame = rte_pktmbuf_alloc(pool_.get());
        if (frame == nullptr) {
            out_of_buffers_ = true;
            break;
        }
        const ssize_t length = read(place.twin->descriptor(), rte_pktmbuf_mtod(frame, void*),
                                    rte_pktmbuf_tailroom(frame));
        if (length <= 0) {
            rte_pktmbuf_free(frame);
            if (length < 0 && errno != EAGAIN && errno != EINTR && !place.twin->is_there()) {
                std::fprintf(stderr, "sluice-dataplane: the kernel has lost the interface %s\n",
                             place.of.spec.name.c_str());
                place.twin.reset();
            }
            break;
        }
        if (watching_)
            look_at_sender(place, {rte_pktmbuf_mtod(frame, const std::byte*),
                                   static_cast<std::size_t>(length)});
        frame->data_len = static_cast<std::uint16_t>(length);
        frame->pkt_len = static_cast<std::uint32_t>(length);
        frame->port = place.of.port;
        frames[count++] = frame;
    }
    const unsigned given = ring.push(std::span(frames).first(count));
    for (unsigned i = given; i < count; ++i)
        rte_pktmbuf_free(frames[i]);
    return given;
}

void ExceptionPath::look_after_twins() {
    for (auto& place : places_) {
        const bool up = place->link_up.load(std::memory_order_relaxed);
        if (place->twin != nullptr && place->carrier != up) {
            place->twin->set_carrier(up);
            place->carrier = up;
        }
        const std::uint64_t now = place->twin == nullptr ? uptime_ms() : 0;
        if (place->twin != nullptr || now < place->try_again_ms)
            continue;
        place->try_again_ms = now + kReviveMs;
        auto twin = host::Twin::open(place->of.spec);
        if (!twin)
            continue;
        put(*place, std::move(*twin));
        if (delivery_)
            if (const auto attached = delivery_->attach(place->of.spec.name); !attached)
                std::fprintf(stderr,
                             "sluice-dataplane: no packet reaches the socket that fwd "
                             "names: %s\n",
                             attached.error().message.c_str());
        std::fprintf(stderr, "sluice-dataplane: the interface %s is there again\n",
                     place->of.spec.name.c_str());
    }
}

void ExceptionPath::put(Place& place, host::Twin twin) {
    place.twin = std::make_unique<host::Twin>(std::move(twin));
    place.link = static_cast<host::LinkIndex>(if_nametoindex(place.of.spec.name.c_str()));
    place.carrier = true;
}

void ExceptionPath::look_at_sender(const Place& place, std::span<const std::byte> frame) {
    packet::Headers headers;
    if (packet::parse_frame(frame, {}, headers) == contract::DropReason::none)
        watch_->before_sending(headers, place.link);
}

bool ExceptionPath::look_after_sockets() {
    const bool wanted = sockets_wanted_.load(std::memory_order_relaxed);
    if (wanted != watching_ && !watch_->in_round()) {
        watching_ = wanted;
        sockets_known_.store(false);
        if (watching_)
            watch_->begin();
    }
    if (!watching_ && !watch_->in_round())
        return false;
    const bool more = watch_->tend(uptime_ms());
    if (watching_ && watch_->rounds() > 0)
        sockets_known_.store(true, std::memory_order_relaxed);
    if (const auto complaint = watch_->complaint())
        std::fprintf(stderr, "sluice-dataplane: %s\n", complaint->c_str());
    return more;
}

bool ExceptionPath::is_full(std::size_t place) const {
    return out_of_buffers_ || down_[place % down_.size()].room() == 0;
}

void ExceptionPath::sleep() {
    bell_.about_to_sleep();
    const bool has_work =
        std::any_of(up_.begin(), up_.end(), [](const PacketRing& ring) { return !ring.empty(); });
    std::array<pollfd, RTE_MAX_ETHPORTS + 1> sources;
    std::size_t count = 0;
    sources[count++] = {.fd = bell_.descriptor(), .events = POLLIN, .revents = 0};
    int timeout = kSleepMs;
    if (watching_)
        timeout = static_cast<int>(
            std::min<std::uint64_t>(kSleepMs, watch_->until_next_round(uptime_ms())));
    for (std::size_t i = 0; i < places_.size(); ++i) {
        if (places_[i]->twin == nullptr)
            continue;
        if (is_full(i))
            timeout = kSleepWhileFullMs;
        else
            sources[count++] = {
                .fd = places_[i]->twin->descriptor(), .events = POLLIN, .revents = 0};
    }
    if (!has_work)
        poll(sources.data(), count, timeout);
    bell_.awake();
}

}  // namespace sluice::worker
