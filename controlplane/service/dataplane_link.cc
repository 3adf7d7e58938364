#include "controlplane/service/dataplane_link.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace sluice::service {
namespace {

using contract::MessageHeader;
using contract::MessageType;

constexpr std::chrono::milliseconds kRetryInterval{200};
constexpr std::chrono::milliseconds kHelloTimeout{2'000};
constexpr std::size_t kMaximumDescriptors = 8;
constexpr std::size_t kDescriptorsWithoutSnapshot = 4;
constexpr std::size_t kReceiveBuffer = 4096;
static_assert(kReceiveBuffer > sizeof(contract::Hello));

std::string last_error(const char* what) {
    return std::string(what) + ": " + std::strerror(errno);
}

// A NUL-terminated string in an array that may lack its NUL.
template <std::size_t N>
std::string text_of(const char (&array)[N]) {
    return std::string(array, strnlen(array, N));
}

template <typename Message>
bool take(std::span<const std::byte> bytes, Message& message) {
    if (bytes.size() != sizeof message)
        return false;
    std::memcpy(&message, bytes.data(), sizeof message);
    return message.header.length == sizeof message;
}

// A sealed memfd that holds the image. `what` as in "the snapshot".
Result<UniqueFd> sealed_file(std::span<const std::byte> image, const std::string& what) {
    UniqueFd fd(memfd_create("sluice-controlplane", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!fd)
        return Error{ExitStatus::os, last_error("memfd_create")};
    for (std::size_t done = 0; done < image.size();) {
        const ssize_t n = write(fd.get(), image.data() + done, image.size() - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return Error{ExitStatus::os, last_error(("no memory for " + what).c_str())};
        done += static_cast<std::size_t>(n);
    }
    if (fcntl(fd.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0)
        return Error{ExitStatus::os, last_error(("sealing " + what).c_str())};
    return fd;
}

template <typename Message>
bool send_with_descriptor(int socket, const Message& content, int descriptor) {
    iovec part{const_cast<Message*>(&content), sizeof content};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(head), &descriptor, sizeof descriptor);
    return sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) ==
           static_cast<ssize_t>(sizeof content);
}

template <typename Message>
bool send_message(int socket, const Message& message) {
    return send(socket, &message, sizeof message, MSG_NOSIGNAL | MSG_DONTWAIT) ==
           static_cast<ssize_t>(sizeof message);
}

// The first bytes of a file, in memory of ours: what is checked cannot change afterwards.
Result<std::vector<std::byte>> read_file(int fd, std::size_t size) {
    std::vector<std::byte> bytes(size);
    for (std::size_t done = 0; done < size;) {
        const ssize_t n = pread(fd, bytes.data() + done, size - done, static_cast<off_t>(done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return Error{ExitStatus::unavailable, "sluice-dataplane sends less than it says"};
        done += static_cast<std::size_t>(n);
    }
    return bytes;
}

struct Received {
    std::vector<std::byte> bytes;
    std::vector<UniqueFd> descriptors;
    bool truncated = false;
    bool again = false;   // nothing there
    bool closed = false;  // end, or an error
};

Received receive(int socket) {
    Received result;
    result.bytes.resize(kReceiveBuffer);
    iovec part{result.bytes.data(), result.bytes.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaximumDescriptors)] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t n = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    result.again = n < 0 && (errno == EAGAIN || errno == EINTR);
    result.closed = n == 0 || (n < 0 && !result.again);
    result.bytes.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    if (n <= 0)
        return result;
    result.truncated = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
    for (cmsghdr* head = CMSG_FIRSTHDR(&message); head != nullptr;
         head = CMSG_NXTHDR(&message, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
            continue;
        const std::size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(head) + i * sizeof(int), sizeof fd);
            result.descriptors.emplace_back(fd);
        }
    }
    return result;
}

}  // namespace

DataplaneLink::DataplaneLink(EventLoop& loop, std::string path, Callbacks callbacks)
    : loop_(loop), path_(std::move(path)), callbacks_(std::move(callbacks)) {}

DataplaneLink::~DataplaneLink() {
    if (socket_)
        loop_.forget(socket_.get());
    if (retry_timer_)
        loop_.cancel(*retry_timer_);
    if (answer_timer_)
        loop_.cancel(*answer_timer_);
}

void DataplaneLink::start() {
    try_connect();
}

void DataplaneLink::retry() {
    if (retry_timer_)
        return;
    retry_timer_ = loop_.after(kRetryInterval, [this] {
        retry_timer_.reset();
        try_connect();
    });
}

void DataplaneLink::try_connect() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path_.size() >= sizeof address.sun_path)
        return close("the path of the socket is too long: " + path_);
    std::memcpy(address.sun_path, path_.c_str(), path_.size() + 1);
    socket_ = UniqueFd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket_)
        return close(last_error("socket"));
    if (connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        const bool absent = errno == ENOENT || errno == ECONNREFUSED;
        const std::string reason = last_error(path_.c_str());
        socket_.reset();
        return close(absent ? "sluice-dataplane is not running" : reason);
    }
    loop_.watch(socket_.get(), EPOLLIN, [this](std::uint32_t) { readable(); });
    answer_timer_ = loop_.after(kHelloTimeout, [this] {
        answer_timer_.reset();
        close("sluice-dataplane does not greet");
    });
}

void DataplaneLink::close(const std::string& reason) {
    if (socket_) {
        loop_.forget(socket_.get());
        socket_.reset();
    }
    if (answer_timer_)
        loop_.cancel(*std::exchange(answer_timer_, std::nullopt));
    outstanding_.reset();
    states_ = {};
    const bool was_up = std::exchange(up_, false);
    retry();
    if (was_up || reason != last_reason_) {
        last_reason_ = reason;
        callbacks_.down(reason, was_up);
    }
}

void DataplaneLink::readable() {
    Received received = receive(socket_.get());
    if (received.again)
        return;
    if (received.closed)
        return close("sluice-dataplane has closed the connection");
    MessageHeader header;
    if (received.truncated || received.bytes.size() < sizeof header)
        return close("sluice-dataplane sends messages of another format");
    std::memcpy(&header, received.bytes.data(), sizeof header);
    if (header.magic != contract::kMessageMagic || header.version != contract::kMessageVersion)
        return close("sluice-dataplane speaks version " + std::to_string(header.version) +
                     " of the contract, sluice-controlplane version " +
                     std::to_string(contract::kMessageVersion) +
                     "; install both from the same release");
    switch (header.type) {
        case MessageType::hello:
            return receive_hello(received.bytes, std::move(received.descriptors));
        case MessageType::accepted:
            return receive_answer(received.bytes);
        case MessageType::rejected:
            return receive_rejected(received.bytes);
        case MessageType::states_reply:
            return receive_states(received.bytes, std::move(received.descriptors));
        case MessageType::kill_reply:
            return receive_killed(received.bytes);
        case MessageType::recheck_reply:
            return receive_rechecked(received.bytes);
        case MessageType::tables_reply:
            return receive_tables(received.bytes, std::move(received.descriptors));
        case MessageType::working:
            return receive_working(received.bytes);
        case MessageType::order_done:
            return receive_order_done(received.bytes);
        case MessageType::returned:
            return receive_returned(received.bytes, std::move(received.descriptors));
        case MessageType::trace_reply:
            return receive_trace(received.bytes, std::move(received.descriptors));
        case MessageType::watch_reply:
            return receive_watch(received.bytes, std::move(received.descriptors));
        case MessageType::pattern_reply:
            return receive_patterns(received.bytes, std::move(received.descriptors));
        case MessageType::pattern_request:
        case MessageType::watch_order:
        case MessageType::order:
        case MessageType::offer:
        case MessageType::trace_request:
        case MessageType::tables_request:
        case MessageType::states_request:
        case MessageType::kill_states:
        case MessageType::recheck_states:
            break;
    }
    close("sluice-dataplane sends a message that it should not send");
}

void DataplaneLink::receive_hello(std::span<const std::byte> message,
                                  std::vector<UniqueFd> descriptors) {
    DataplaneGreeting greeting;
    contract::Hello& hello = greeting.hello;
    if (up_ || !take(message, hello))
        return close("sluice-dataplane sends a greeting of another format");
    const std::size_t expected = kDescriptorsWithoutSnapshot + (hello.generation != 0 ? 1 : 0);
    if (descriptors.size() != expected || hello.worker_count == 0 || hello.slot_capacity < 2 ||
        hello.port_count > contract::kMaximumPorts || hello.table_count > contract::kMaximumTables)
        return close("sluice-dataplane sends a greeting that makes no sense");
    Result<SharedMemory> memory =
        SharedMemory::map(hello, descriptors[0].get(), descriptors[1].get(), descriptors[2].get());
    if (!memory)
        return close(memory.error().message);
    greeting.memory = std::move(*memory);
    if (hello.generation != 0)
        greeting.snapshot = std::move(descriptors[4]);
    greeting.tables.resize(hello.table_count);
    const auto tables =
        read_file(descriptors[3].get(), hello.table_count * sizeof(contract::TableDescriptor));
    if (!tables)
        return close(tables.error().message);
    if (!tables->empty())
        std::memcpy(greeting.tables.data(), tables->data(), tables->size());
    for (contract::TableDescriptor& table : greeting.tables) {
        table.name[sizeof table.name - 1] = '\0';
        if (table.type >= contract::TableType::count_ || table.id >= contract::kMaximumTables)
            return close("sluice-dataplane has a table that makes no sense");
    }
    for (std::uint32_t i = 0; i < hello.port_count; ++i)
        greeting.interface_names.push_back(text_of(hello.ports[i].name));
    if (answer_timer_)
        loop_.cancel(*std::exchange(answer_timer_, std::nullopt));
    up_ = true;
    last_reason_.clear();
    callbacks_.up(std::move(greeting));
}

void DataplaneLink::unexpected() {
    close(up_ ? "sluice-dataplane answers what it was not asked"
              : "sluice-dataplane does not greet");
}

void DataplaneLink::expect(MessageType request) {
    outstanding_ = request;
    wait_for_answer();
}

void DataplaneLink::wait_for_answer() {
    if (answer_timer_)
        loop_.cancel(*answer_timer_);
    answer_timer_ = loop_.after(answer_timeout_, [this] {
        answer_timer_.reset();
        close("sluice-dataplane does not answer");
    });
}

// Whether the answer to `request` was waited for; then it is not any more.
bool DataplaneLink::take_expectation(MessageType request) {
    if (outstanding_ != request)
        return false;
    outstanding_.reset();
    if (answer_timer_)
        loop_.cancel(*std::exchange(answer_timer_, std::nullopt));
    return true;
}

void DataplaneLink::receive_answer(std::span<const std::byte> message) {
    contract::Accepted accepted;
    if (!take(message, accepted) || accepted.generation != offered_ ||
        !take_expectation(MessageType::offer))
        return unexpected();
    callbacks_.answered(accepted);
}

void DataplaneLink::receive_states(std::span<const std::byte> message,
                                   std::vector<UniqueFd> descriptors) {
    contract::StatesReply reply;
    if (!take(message, reply) || !take_expectation(MessageType::states_request))
        return unexpected();
    if (reply.record_count != 0) {
        if (descriptors.size() != 1 || states_request_.wanted == contract::StatesWanted::count)
            return close("sluice-dataplane sends states of another format");
        constexpr std::size_t kEach = sizeof(contract::StateRecord);
        const Result<Mapping> memory =
            Mapping::map(descriptors.front().get(), reply.record_count * kEach, false, "states");
        if (!memory)
            return close(memory.error().message);
        const std::size_t before = states_.records.size();
        states_.records.resize(before + reply.record_count);
        std::memcpy(states_.records.data() + before, memory->data(), reply.record_count * kEach);
    }
    states_.count += reply.state_count;
    if (reply.last != 0 || states_.records.size() > most_records_)
        return callbacks_.states(std::exchange(states_, {}));
    const contract::StatePosition from = std::exchange(states_request_.from, reply.next);
    if (std::pair(reply.next.worker, reply.next.cell) <= std::pair(from.worker, from.cell))
        return close("sluice-dataplane tells the same states again and again");
    if (const Result<Done> next = request_piece(); !next)
        callbacks_.states(next.error());
}

void DataplaneLink::receive_killed(std::span<const std::byte> message) {
    contract::KillReply reply;
    if (!take(message, reply) || !take_expectation(MessageType::kill_states))
        return unexpected();
    callbacks_.killed(reply.count);
}

void DataplaneLink::receive_rechecked(std::span<const std::byte> message) {
    contract::RecheckReply reply;
    if (!take(message, reply) || !take_expectation(MessageType::recheck_states))
        return unexpected();
    rechecked_.kept += reply.kept;
    rechecked_.moved += reply.moved;
    rechecked_.killed += reply.killed;
    if (reply.last != 0)
        return callbacks_.rechecked(rechecked_);
    const contract::StatePosition from = rechecked_.next;
    if (std::pair(reply.next.worker, reply.next.cell) <= std::pair(from.worker, from.cell))
        return close("sluice-dataplane judges the same states again and again");
    if (const Result<Done> next = recheck_piece(reply.next); !next)
        callbacks_.rechecked(next.error());
}

Result<TableReply> TableReply::read(std::vector<std::byte> bytes, std::size_t changes) {
    const Error wrong{ExitStatus::unavailable,
                      "sluice-dataplane sends an answer about tables that makes no sense"};
    contract::TableAnswerHeader header;
    if (bytes.size() < sizeof header)
        return wrong;
    std::memcpy(&header, bytes.data(), sizeof header);
    const std::uint64_t left = bytes.size() - sizeof header;
    if (header.result_count != changes ||
        header.entry_count > left / sizeof(contract::TableEntry) ||
        left != header.result_count * sizeof(contract::TableResult) +
                    header.entry_count * sizeof(contract::TableEntry) +
                    header.value_count * sizeof(contract::TableValue))
        return wrong;
    TableReply reply;
    reply.bytes_ = std::move(bytes);
    const std::byte* at = reply.bytes_.data() + sizeof header;
    const auto take = [&]<typename T>(std::span<const T>& elements, std::uint64_t count) {
        elements = {reinterpret_cast<const T*>(at), static_cast<std::size_t>(count)};
        at += elements.size_bytes();
    };
    take(reply.answer_.results, header.result_count);
    take(reply.answer_.entries, header.entry_count);
    take(reply.answer_.values, header.value_count);
    reply.answer_.failed = header.failed != 0;
    for (const contract::TableResult& result : reply.answer_.results)
        if (result.status > contract::TableStatus::not_reached ||
            result.first > header.entry_count || result.entries > header.entry_count - result.first)
            return wrong;
    for (const contract::TableEntry& entry : reply.answer_.entries)
        if (entry.value >= header.value_count)
            return wrong;
    return reply;
}

void DataplaneLink::receive_tables(std::span<const std::byte> message,
                                   std::vector<UniqueFd> descriptors) {
    contract::TablesReply reply;
    if (!take(message, reply) || !take_expectation(MessageType::tables_request))
        return unexpected();
    if (descriptors.size() != 1 || reply.size > contract::kMaximumTableBatch)
        return close("sluice-dataplane sends an answer about tables of another format");
    auto bytes = read_file(descriptors.front().get(), static_cast<std::size_t>(reply.size));
    if (!bytes)
        return close(bytes.error().message);
    Result<TableReply> answer = TableReply::read(std::move(*bytes), changes_);
    if (!answer)
        return close(answer.error().message);
    callbacks_.tables(std::move(answer));
}

// A large batch takes as long as it takes; what must not last is silence.
void DataplaneLink::receive_working(std::span<const std::byte> message) {
    contract::Working working;
    if (!take(message, working) || outstanding_ != MessageType::tables_request)
        return unexpected();
    wait_for_answer();
}

void DataplaneLink::receive_trace(std::span<const std::byte> message,
                                  std::vector<UniqueFd> descriptors) {
    contract::TraceReply reply;
    if (!take(message, reply) || !take_expectation(MessageType::trace_request))
        return unexpected();
    if (descriptors.size() != (reply.step_count == 0 ? 0 : 1) ||
        reply.step_count > contract::kMaximumTraceSteps)
        return close("sluice-dataplane sends a trace of another format");
    TraceAnswer answer{.verdict = reply.verdict, .steps = {}};
    if (!descriptors.empty()) {
        const auto bytes =
            read_file(descriptors.front().get(), reply.step_count * sizeof(contract::TraceStep));
        if (!bytes)
            return close(bytes.error().message);
        answer.steps.resize(reply.step_count);
        std::memcpy(answer.steps.data(), bytes->data(), bytes->size());
    }
    callbacks_.traced(std::move(answer));
}

Result<Done> DataplaneLink::request_trace(contract::TraceRequest request) {
    request.header.length = sizeof request;
    if (!send_message(socket_.get(), request))
        return Error{ExitStatus::unavailable,
                     last_error("sluice-dataplane cannot be asked for a trace")};
    expect(MessageType::trace_request);
    return Done{};
}

void DataplaneLink::receive_watch(std::span<const std::byte> message,
                                  std::vector<UniqueFd> descriptors) {
    contract::WatchReply reply;
    if (!take(message, reply) || !take_expectation(MessageType::watch_order))
        return unexpected();
    if (descriptors.size() != (reply.watch == 0 ? 0 : 1))
        return close("sluice-dataplane answers an order to watch in another format");
    WatchAnswer answer{.watch = reply.watch, .rings = {}};
    if (!descriptors.empty())
        answer.rings = std::move(descriptors.front());
    callbacks_.watched(std::move(answer));
}

Result<Done> DataplaneLink::watch(const contract::WatchOrder& order) {
    if (!send_message(socket_.get(), order))
        return Error{ExitStatus::unavailable,
                     last_error("sluice-dataplane cannot be told to watch")};
    expect(MessageType::watch_order);
    return Done{};
}

void DataplaneLink::receive_patterns(std::span<const std::byte> message,
                                     std::vector<UniqueFd> descriptors) {
    contract::PatternReply reply;
    if (!take(message, reply) || !take_expectation(MessageType::pattern_request))
        return unexpected();
    constexpr std::size_t kEach = sizeof(std::uint64_t);
    constexpr const char* kWrong = "sluice-dataplane tells of patterns in another format";
    PatternAnswer answer;
    if (descriptors.size() != 1 || reply.size < sizeof answer.report ||
        reply.size > sizeof answer.report + contract::kMaximumPatterns * kEach)
        return close(kWrong);
    const auto bytes = read_file(descriptors.front().get(), static_cast<std::size_t>(reply.size));
    if (!bytes)
        return close(bytes.error().message);
    std::memcpy(&answer.report, bytes->data(), sizeof answer.report);
    const std::size_t left = bytes->size() - sizeof answer.report;
    if (left % kEach != 0 || answer.report.pattern_count != left / kEach)
        return close(kWrong);
    answer.hits.resize(left / kEach);
    if (!answer.hits.empty())
        std::memcpy(answer.hits.data(), bytes->data() + sizeof answer.report, left);
    callbacks_.patterns(std::move(answer));
}

Result<Done> DataplaneLink::request_patterns(std::string_view object) {
    contract::PatternRequest request;
    request.header.length = sizeof request;
    object.copy(request.name, sizeof request.name - 1);
    if (!send_message(socket_.get(), request))
        return Error{ExitStatus::unavailable,
                     last_error("sluice-dataplane cannot be asked about patterns")};
    expect(MessageType::pattern_request);
    return Done{};
}

void DataplaneLink::receive_rejected(std::span<const std::byte> message) {
    contract::Rejected rejected;
    const bool readable = take(message, rejected);
    // A data plane that has a control plane already says so instead of greeting.
    if (readable && !up_)
        return close("sluice-dataplane refuses the connection: " + text_of(rejected.reason));
    if (!readable)
        return unexpected();
    const Error refusal{ExitStatus::unavailable, text_of(rejected.reason)};
    if (rejected.generation == offered_ && take_expectation(MessageType::offer))
        return callbacks_.answered(refusal);
    if (take_expectation(MessageType::states_request))
        return callbacks_.states(refusal);
    if (take_expectation(MessageType::kill_states))
        return callbacks_.killed(refusal);
    if (take_expectation(MessageType::recheck_states))
        return callbacks_.rechecked(refusal);
    if (take_expectation(MessageType::tables_request))
        return callbacks_.tables(refusal);
    if (take_expectation(MessageType::order))
        return callbacks_.ordered(refusal);
    if (take_expectation(MessageType::trace_request))
        return callbacks_.traced(refusal);
    if (take_expectation(MessageType::watch_order))
        return callbacks_.watched(refusal);
    if (take_expectation(MessageType::pattern_request))
        return callbacks_.patterns(refusal);
    unexpected();
}

void DataplaneLink::receive_order_done(std::span<const std::byte> message) {
    contract::OrderDone done;
    if (!take(message, done) || !take_expectation(MessageType::order))
        return unexpected();
    callbacks_.ordered(Done{});
}

void DataplaneLink::receive_returned(std::span<const std::byte> message,
                                     std::vector<UniqueFd> descriptors) {
    contract::Returned returned;
    if (!up_ || !take(message, returned) || descriptors.size() != 1)
        return close("sluice-dataplane tells of a return in another format");
    callbacks_.returned(returned, std::move(descriptors.front()));
}

Result<Done> DataplaneLink::order(contract::OrderKind kind, contract::Panic panic) {
    contract::Order order;
    order.header.length = sizeof order;
    order.kind = kind;
    order.panic = panic;
    if (!send_message(socket_.get(), order))
        return Error{ExitStatus::unavailable, last_error("sluice-dataplane takes no order")};
    expect(MessageType::order);
    return Done{};
}

Result<Done> DataplaneLink::offer(std::span<const std::byte> image, std::uint64_t generation,
                                  Prepared with_tables, std::chrono::milliseconds revert_after) {
    Result<UniqueFd> file = sealed_file(image, "the snapshot");
    if (!file)
        return file.error();
    contract::Offer offer;
    offer.header.length = sizeof offer;
    offer.generation = generation;
    offer.size = image.size();
    offer.with_tables = with_tables == Prepared::commit ? 1 : 0;
    offer.revert_after_ms = static_cast<std::uint64_t>(revert_after.count());
    if (!send_with_descriptor(socket_.get(), offer, file->get()))
        return Error{ExitStatus::unavailable,
                     last_error("the snapshot cannot be handed to sluice-dataplane")};
    offered_ = generation;
    expect(MessageType::offer);
    return Done{};
}

Result<Done> DataplaneLink::change_tables(std::span<const std::byte> batch, std::size_t changes,
                                          contract::TablesMode mode) {
    Result<UniqueFd> file = sealed_file(batch, "the changes to tables");
    if (!file)
        return file.error();
    contract::TablesRequest request;
    request.header.length = sizeof request;
    request.size = batch.size();
    request.mode = mode;
    if (!send_with_descriptor(socket_.get(), request, file->get()))
        return Error{ExitStatus::unavailable,
                     last_error("the changes to tables cannot be handed to sluice-dataplane")};
    changes_ = changes;
    expect(MessageType::tables_request);
    return Done{};
}

Result<Done> DataplaneLink::request_states(const contract::StateFilter& filter,
                                           contract::StatesWanted wanted,
                                           std::size_t most_records) {
    states_request_ = {};
    states_request_.header.length = sizeof states_request_;
    states_request_.filter = filter;
    states_request_.wanted = wanted;
    most_records_ = most_records;
    states_ = {};
    return request_piece();
}

Result<Done> DataplaneLink::request_piece() {
    if (!send_message(socket_.get(), states_request_))
        return Error{ExitStatus::unavailable,
                     last_error("sluice-dataplane cannot be asked for its states")};
    expect(MessageType::states_request);
    return Done{};
}

Result<Done> DataplaneLink::kill_states(const contract::StateFilter& filter) {
    contract::KillStates request;
    request.header.length = sizeof request;
    request.filter = filter;
    if (!send_message(socket_.get(), request))
        return Error{ExitStatus::unavailable,
                     last_error("sluice-dataplane cannot be told to kill states")};
    expect(MessageType::kill_states);
    return Done{};
}

Result<Done> DataplaneLink::recheck_states() {
    rechecked_ = {};
    return recheck_piece({});
}

Result<Done> DataplaneLink::recheck_piece(const contract::StatePosition& from) {
    contract::RecheckStates request;
    request.header.length = sizeof request;
    request.from = rechecked_.next = from;
    if (!send_message(socket_.get(), request))
        return Error{ExitStatus::unavailable,
                     last_error("sluice-dataplane cannot be asked to judge states anew")};
    expect(MessageType::recheck_states);
    return Done{};
}

}  // namespace sluice::service
