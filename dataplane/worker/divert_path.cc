#include "dataplane/worker/divert_path.h"

#include <poll.h>
#include <pthread.h>
#include <rte_mbuf.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "common/peer.h"
#include "dataplane/packet/parser.h"
#include "dataplane/worker/clock.h"
#include "dataplane/worker/packet_copy.h"
#include "dataplane/worker/sender.h"

namespace sluice::worker {

namespace {

using contract::DropReason;
using divert::Fault;
using divert::Header;

constexpr unsigned kRing = 512;         // packets of a worker that wait, each way
constexpr unsigned kBurst = 32;         // moved at once
constexpr unsigned kBuffers = 2048;     // beside those in rings and in the caches of workers
constexpr unsigned kWorkerCache = 512;  // of a pool, at most
constexpr unsigned kRoom = 2048;        // of a buffer
constexpr int kSleepMs = 500;
constexpr int kSleepWhileFullMs = 1;            // a worker has not made room yet
constexpr int kSocketBuffer = 4 * 1024 * 1024;  // as far as the kernel lets us

// A program that runs for this machine's own: root, our user, our group.
bool may_listen(int socket, const ucred& peer) {
    return peer.uid == 0 || peer.uid == geteuid() || peer_has_group(socket, peer, getegid());
}

void enlarge_buffer(int socket) {
    if (setsockopt(socket, SOL_SOCKET, SO_SNDBUFFORCE, &kSocketBuffer, sizeof kSocketBuffer) != 0)
        setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &kSocketBuffer, sizeof kSocketBuffer);
}

bool send_parts(int socket, const Header& header, const void* rest, std::size_t length) {
    iovec parts[] = {{.iov_base = const_cast<Header*>(&header), .iov_len = sizeof header},
                     {.iov_base = const_cast<void*>(rest), .iov_len = length}};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    return sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

bool is_fragment4(std::span<const std::byte> packet) {
    return std::to_integer<unsigned>(packet[0]) >> 4 == 4 &&
           ((std::to_integer<unsigned>(packet[6]) & 0x3f) != 0 || packet[7] != std::byte{0});
}

}  // namespace

Result<std::unique_ptr<DivertPath>> DivertPath::open(const std::string& socket, unsigned workers) {
    auto listener = LocalListener::open({.path = socket,
                                         .what = "divert socket",
                                         .setting = "divert_socket",
                                         .backlog = kMaximumPrograms});
    if (!listener)
        return listener.error();
    auto pool = Mempool::create({.name = "divert",
                                 .buffers = kBuffers + workers * (2 * kRing + kWorkerCache),
                                 .room = kRoom,
                                 .socket = -1,
                                 .private_bytes = sizeof(Header)});
    if (!pool)
        return pool.error();
    auto bell = Bell::create();
    if (!bell)
        return bell.error();
    return std::unique_ptr<DivertPath>(
        new DivertPath(std::move(*listener), workers, std::move(*pool), std::move(*bell)));
}

DivertPath::DivertPath(LocalListener listener, unsigned workers, Mempool pool, Bell bell)
    : listener_(std::move(listener)),
      pool_(std::move(pool)),
      bell_(std::move(bell)),
      losses_(workers),
      listens_(new std::atomic<std::uint8_t>[65536] {}),
      linear_(kLongestFrame),
      message_(sizeof(Header) + SLUICE_DIVERT_LONGEST + 1) {
    for (unsigned worker = 0; worker < workers; ++worker) {
        out_.emplace_back("divert_out", kRing);
        back_.emplace_back("divert_back", kRing);
    }
}

DivertPath::~DivertPath() {
    stop();
}

void DivertPath::start() {
    thread_ = std::thread([this] { run(); });
}

void DivertPath::stop() {
    if (!thread_.joinable())
        return;
    stop_.store(true);
    bell_.ring();
    thread_.join();
}

// ---- Workers ------------------------------------------------------------------------------------

rte_mbuf* DivertPath::copy(const rte_mbuf& packet, std::uint32_t length) const {
    return rte_pktmbuf_copy(&packet, pool_.get(), 0, length);
}

rte_mbuf* DivertPath::copy(std::span<const std::byte> frame) const {
    return copy_of(frame, pool_.get());
}

Header& DivertPath::header_of(rte_mbuf& packet) {
    return *static_cast<Header*>(rte_mbuf_to_priv(&packet));
}

bool DivertPath::give(unsigned worker, rte_mbuf* frame) {
    return out_[worker].push(std::span(&frame, 1)) == 1;
}

void DivertPath::wake() {
    bell_.wake();
}

unsigned DivertPath::take(unsigned worker, std::span<rte_mbuf*> packets) {
    return back_[worker].pop(packets);
}

void DivertPath::settle(unsigned worker, contract::WorkerCounters& counters) {
    Losses& losses = losses_[worker];
    const std::uint64_t total = losses.total.load(std::memory_order_acquire);
    if (total == losses.settled_total)
        return;
    losses.settled_total = total;
    for (std::size_t reason = 0; reason < losses.by_reason.size(); ++reason) {
        const std::uint64_t now = losses.by_reason[reason].load(std::memory_order_relaxed);
        contract::add(counters.drops[reason], now - losses.settled[reason]);
        losses.settled[reason] = now;
    }
}

// ---- The thread ---------------------------------------------------------------------------------

void DivertPath::run() {
    pthread_setname_np(pthread_self(), "sluice-divert");
    while (!stop_.load(std::memory_order_relaxed)) {
        const bool busy = deliver() != 0;
        if (const unsigned late = reassembler_.expire(uptime_s()); late != 0)
            lose(0, DropReason::fragment_timeout, late);
        wait(busy);
    }
}

// For packets to deliver, which only a thread without any waits for, and for programs.
void DivertPath::wait(bool busy) {
    if (!busy) {
        bell_.about_to_sleep();
        busy = std::any_of(out_.begin(), out_.end(),
                           [](const PacketRing& ring) { return !ring.empty(); });
    }
    const bool room = workers_have_room();
    std::array<pollfd, kMaximumPrograms + 2> sources;
    std::size_t count = 0;
    sources[count++] = {.fd = bell_.descriptor(), .events = POLLIN, .revents = 0};
    sources[count++] = {.fd = listener_.descriptor(), .events = POLLIN, .revents = 0};
    for (const Program& program : programs_)
        sources[count++] = {.fd = room ? program.socket.get() : -1, .events = POLLIN, .revents = 0};
    poll(sources.data(), count, busy ? 0 : room ? kSleepMs : kSleepWhileFullMs);
    bell_.awake();
    for (std::size_t i = 0; i < programs_.size(); ++i)
        if (sources[i + 2].revents != 0)
            hear(programs_[i]);
    forget_the_gone();
    if (sources[1].revents != 0)
        admit_program();
}

unsigned DivertPath::deliver() {
    unsigned total = 0;
    for (unsigned worker = 0; worker < out_.size(); ++worker) {
        std::array<rte_mbuf*, kBurst> frames;
        const unsigned count = out_[worker].pop(frames);
        for (unsigned i = 0; i < count; ++i) {
            deliver(worker, *frames[i]);
            rte_pktmbuf_free(frames[i]);
        }
        total += count;
    }
    return total;
}

void DivertPath::deliver(unsigned worker, rte_mbuf& frame) {
    const Header& header = header_of(frame);
    const std::size_t in_front = divert::read_cookie(header).link_length;
    const void* first = rte_pktmbuf_read(&frame, 0, frame.pkt_len, linear_.data());
    std::span<const std::byte> bytes(static_cast<const std::byte*>(first), frame.pkt_len);
    if ((header.flags & SLUICE_DIVERT_TEE) == 0 && is_fragment4(bytes.subspan(in_front))) {
        bytes = whole(worker, bytes, frame.port);
        if (bytes.empty())
            return;
    }
    const DropReason reason = send(header, bytes.subspan(in_front));
    if (reason != DropReason::none)
        lose(worker, reason);
}

// The datagram that this fragment completes, or nothing.
std::span<const std::byte> DivertPath::whole(unsigned worker, std::span<const std::byte> frame,
                                             std::uint16_t interface) {
    packet::Packet packet;
    packet.uptime_s = uptime_s();
    packet.passage.receive_interface = interface;
    const DropReason malformed = packet::parse_frame(frame, {}, packet.headers);
    if (malformed != DropReason::none) {
        lose(worker, malformed);
        return {};
    }
    const packet::Reassembler::Outcome outcome = reassembler_.add(packet);
    if (outcome.given_up != 0)
        lose(worker, outcome.reason, outcome.given_up);
    if (outcome.refused != DropReason::none)
        lose(worker, outcome.refused);
    return outcome.frame;
}

DropReason DivertPath::send(const Header& header, std::span<const std::byte> packet) {
    const Program* program = program_at(header.port);
    if (program == nullptr)
        return DropReason::divert_without_listener;
    if (send_parts(program->socket.get(), header, packet.data(), packet.size()))
        return DropReason::none;
    return errno == EPIPE || errno == ECONNRESET ? DropReason::divert_without_listener
                                                 : DropReason::divert_queue_full;
}

void DivertPath::admit_program() {
    UniqueFd socket = listener_.accept();
    if (!socket)
        return;
    Program program{.socket = std::move(socket), .since_ms = uptime_ms()};
    ucred peer{};
    socklen_t length = sizeof peer;
    const int descriptor = program.socket.get();
    const bool known = getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0;
    program.process = peer.pid;
    if (!known || !may_listen(descriptor, peer))
        return refuse(program, "user " + std::to_string(peer.uid) + " may not divert packets");
    if (programs_.size() == kMaximumPrograms)
        return refuse(program,
                      "there are " + std::to_string(kMaximumPrograms) + " programs already");
    enlarge_buffer(descriptor);
    programs_.push_back(std::move(program));
}

// A bounded number of its messages.
void DivertPath::hear(Program& program) {
    for (unsigned i = 0; i < kBurst && workers_have_room(); ++i) {
        const ssize_t length =
            recv(program.socket.get(), message_.data(), message_.size(), MSG_DONTWAIT);
        if (length < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (length <= 0) {
            program.socket.reset();
            return;
        }
        const std::span message = std::span(message_).first(static_cast<std::size_t>(length));
        if (program.port != 0)
            inject(program, message);
        else
            bind(program, message);
        if (!program.socket)
            return;
    }
}

void DivertPath::bind(Program& program, std::span<const std::byte> message) {
    Header header;
    if (const Fault fault = divert::read_bind(message, header); fault != Fault::none)
        return refuse(program, std::string("this is no bind message: ") + divert::sentence(fault));
    if (const Program* other = program_at(header.port))
        return refuse(program, "process " + std::to_string(other->process) +
                                   " listens on divert port " + std::to_string(header.port));
    program.port = header.port;
    // Before the program is told: from then on it may count on it. If it cannot be told it is gone,
    // and forgotten like others that are.
    listens_[program.port].store(1, std::memory_order_relaxed);
    if (!send_parts(program.socket.get(), divert::make_header(SLUICE_DIVERT_BOUND, header.port),
                    nullptr, 0))
        program.socket.reset();
}

void DivertPath::refuse(Program& program, const std::string& reason) {
    send_parts(program.socket.get(), divert::make_header(SLUICE_DIVERT_REFUSED, 0), reason.data(),
               reason.size());
    program.socket.reset();
}

void DivertPath::inject(Program& program, std::span<std::byte> message) {
    Header header;
    std::span<const std::byte> packet;
    const Fault fault = divert::read_packet(message, program.port, header, packet);
    const divert::Origin origin =
        fault == Fault::none ? divert::read_cookie(header) : divert::Origin{};
    unsigned worker = origin.worker;
    if (origin.link_length == 0 || worker >= back_.size()) {
        worker = next_worker_;
        next_worker_ = (next_worker_ + 1) % static_cast<unsigned>(back_.size());
    }
    if (fault != Fault::none) {
        lose(worker, DropReason::divert_refused);
        if (!program.has_been_told_off)
            std::fprintf(stderr,
                         "sluice-dataplane: a message of process %d on divert port %u is refused, "
                         "and so will others be in silence: %s\n",
                         program.process, unsigned{program.port}, divert::sentence(fault));
        program.has_been_told_off = true;
        return;
    }
    divert::correct_checksum(message.subspan(sizeof header));
    rte_mbuf* buffer = copy_of(packet, pool_.get());
    if (buffer == nullptr)
        return lose(worker, DropReason::divert_queue_full);
    header_of(*buffer) = header;
    if (back_[worker].push(std::span(&buffer, 1)) == 1)
        return;
    rte_pktmbuf_free(buffer);
    lose(worker, DropReason::divert_queue_full);
}

// Those that have closed their socket, and those that have kept silent for too long.
void DivertPath::forget_the_gone() {
    const std::uint64_t now = uptime_ms();
    for (Program& program : programs_) {
        if (program.socket && program.port == 0 && now - program.since_ms > kBindWithinMs)
            refuse(program, "no bind message came in time");
        if (!program.socket && program.port != 0)
            listens_[program.port].store(0, std::memory_order_relaxed);
    }
    std::erase_if(programs_, [](const Program& program) { return !program.socket; });
}

DivertPath::Program* DivertPath::program_at(std::uint16_t port) {
    const auto found = std::find_if(programs_.begin(), programs_.end(), [&](const Program& each) {
        return each.port == port && each.socket;
    });
    return found == programs_.end() ? nullptr : &*found;
}

bool DivertPath::workers_have_room() const {
    return std::all_of(back_.begin(), back_.end(),
                       [](const PacketRing& ring) { return ring.room() != 0; });
}

void DivertPath::lose(unsigned worker, DropReason reason, unsigned packets) {
    Losses& losses = losses_[worker];
    std::atomic<std::uint64_t>& count = losses.by_reason[static_cast<std::size_t>(reason)];
    count.store(count.load(std::memory_order_relaxed) + packets, std::memory_order_relaxed);
    losses.total.store(losses.total.load(std::memory_order_relaxed) + packets,
                       std::memory_order_release);
}

}  // namespace sluice::worker
