#include "dataplane/app/contract_server.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>
#include <variant>
#include <vector>

#include "dataplane/app/message_reader.h"
#include "dataplane/contract/snapshot.h"
#include "dataplane/table/table_batch.h"

namespace sluice::dataplane {

namespace {

constexpr std::size_t kMaximumDescriptors = 8;

bool send_message(int client, const void* message, std::size_t length,
                  const std::vector<int>& descriptors = {}) {
    iovec part{.iov_base = const_cast<void*>(message), .iov_len = length};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kMaximumDescriptors)> control{};
    if (!descriptors.empty()) {
        const std::size_t size = sizeof(int) * descriptors.size();
        header.msg_control = control.data();
        header.msg_controllen = CMSG_SPACE(size);
        cmsghdr* item = CMSG_FIRSTHDR(&header);
        item->cmsg_level = SOL_SOCKET;
        item->cmsg_type = SCM_RIGHTS;
        item->cmsg_len = CMSG_LEN(size);
        std::memcpy(CMSG_DATA(item), descriptors.data(), size);
    }
    return sendmsg(client, &header, MSG_DONTWAIT | MSG_NOSIGNAL) == static_cast<ssize_t>(length);
}

contract::Rejected rejection(std::uint64_t generation, const std::string& reason) {
    contract::Rejected rejected;
    rejected.header.length = sizeof rejected;
    rejected.generation = generation;
    std::strncpy(rejected.reason, reason.c_str(), sizeof rejected.reason - 1);
    return rejected;
}

struct Received {
    ssize_t length = -1;
    std::vector<UniqueFd> descriptors;
};

// One byte more than any message has, so that a longer one is not taken for a good one.
using Buffer =
    std::array<std::byte, std::max(sizeof(contract::Hello), sizeof(contract::TraceRequest)) + 1>;

Received receive(int client, Buffer& buffer) {
    iovec part{.iov_base = buffer.data(), .iov_len = buffer.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kMaximumDescriptors)> control{};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    Received received;
    received.length = recvmsg(client, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (received.length < 0)
        return received;
    for (cmsghdr* item = CMSG_FIRSTHDR(&header); item != nullptr;
         item = CMSG_NXTHDR(&header, item)) {
        if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS)
            continue;
        const std::size_t count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
            int descriptor = -1;
            std::memcpy(&descriptor, CMSG_DATA(item) + i * sizeof(int), sizeof descriptor);
            received.descriptors.emplace_back(descriptor);
        }
    }
    return received;
}

// A memfd with the bytes, that nobody can change any more. `what` is for the message.
Result<UniqueFd> file_of(std::span<const std::byte> bytes, const std::string& what) {
    UniqueFd file(memfd_create("sluice answer", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    while (file && !bytes.empty()) {
        const ssize_t written = write(file.get(), bytes.data(), bytes.size());
        if (written <= 0)
            file.reset();
        else
            bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
    constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    if (!file || fcntl(file.get(), F_ADD_SEALS, kSeals) != 0)
        return Error{ExitStatus::os, "there is no memory for " + what};
    return file;
}

std::size_t file_size(int descriptor) {
    struct stat status {};
    return fstat(descriptor, &status) == 0 ? static_cast<std::size_t>(status.st_size) : 0;
}

std::uint64_t milliseconds_until(std::chrono::steady_clock::time_point time) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(time - std::chrono::steady_clock::now());
    return static_cast<std::uint64_t>(std::max<std::int64_t>(left.count(), 1));
}

// The id of the default rule of a snapshot, which was published and so is valid.
std::uint32_t next_id_of(std::span<const std::byte> image) {
    contract::SnapshotHeader header;
    std::memcpy(&header, image.data(), sizeof header);
    const std::uint64_t at =
        header.rules.offset + (std::uint64_t{header.live_rules} - 1) * sizeof(contract::RuleRecord);
    contract::RuleRecord last;
    if (header.live_rules == 0 || at > image.size() - sizeof last)
        return 0;
    std::memcpy(&last, image.data() + at, sizeof last);
    return last.id;
}

// Not only questions. What cannot be read may be anything.
bool changes_tables(std::span<const std::byte> bytes) {
    const Result<table::Batch> batch = table::read_batch(bytes);
    if (!batch)
        return true;
    return std::any_of(batch->changes.begin(), batch->changes.end(),
                       [](const contract::TableChange& change) {
                           return change.verb < contract::TableVerb::list;
                       });
}

Error locked() {
    return {ExitStatus::unavailable,
            "the data plane is locked (`ipfw lock`): nothing can be changed until "
            "sluice-dataplane is restarted"};
}

// A read-only mapping for as long as the image is looked at.
class Mapping {
  public:
    Mapping(int descriptor, std::size_t size)
        : data_(mmap(nullptr, size, PROT_READ, MAP_SHARED, descriptor, 0)), size_(size) {}
    Mapping(const Mapping&) = delete;
    ~Mapping() {
        if (data_ != MAP_FAILED)
            munmap(data_, size_);
    }
    explicit operator bool() const { return data_ != MAP_FAILED; }
    std::span<const std::byte> bytes() const {
        return {static_cast<const std::byte*>(data_), size_};
    }

  private:
    void* data_;
    std::size_t size_;
};

}  // namespace

Result<ContractServer> ContractServer::listen(const std::string& path,
                                              const Descriptors& descriptors, Callbacks callbacks) {
    auto listener =
        LocalListener::open({.path = path, .what = "contract socket", .setting = "socket"});
    if (!listener)
        return listener.error();
    return ContractServer(std::move(*listener), descriptors, std::move(callbacks));
}

ContractServer::ContractServer(LocalListener listener, const Descriptors& descriptors,
                               Callbacks callbacks)
    : listener_(std::move(listener)), descriptors_(descriptors), callbacks_(std::move(callbacks)) {}

void ContractServer::on_listener() {
    UniqueFd client = listener_.accept();
    if (!client)
        return;
    ucred peer{};
    socklen_t length = sizeof peer;
    const bool known = getsockopt(client.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0;
    std::string refusal;
    if (!known || (peer.uid != 0 && peer.uid != geteuid()))
        refusal = "user " + std::to_string(peer.uid) + " may not control the data plane";
    else if (client_)
        refusal =
            "another control plane, process " + std::to_string(client_process_) + ", is connected";
    if (!refusal.empty()) {
        const contract::Rejected rejected = rejection(0, refusal);
        send_message(client.get(), &rejected, sizeof rejected);
        return;
    }
    if (watches_)
        end_watch();
    client_ = std::move(client);
    client_process_ = peer.pid;
    greet();
}

void ContractServer::greet() {
    contract::Hello hello = callbacks_.describe();
    hello.header.length = sizeof hello;
    hello.generation = running_.generation;
    hello.cost = running_.cost;
    hello.highest_generation = highest_generation_;
    hello.returned_from = returned_from_;
    hello.next_rule_id = next_rule_id_;
    hello.confirm_ms = predecessor_ ? milliseconds_until(predecessor_->due) : 0;
    hello.locked = locked_ ? 1 : 0;
    hello.panic = panic_;
    const std::vector<contract::TableDescriptor> tables = callbacks_.list_tables();
    hello.table_count = static_cast<std::uint32_t>(tables.size());
    const auto table_file = file_of(std::as_bytes(std::span(tables)), "the list of tables");
    if (!table_file) {
        const contract::Rejected rejected = rejection(0, table_file.error().message);
        send_message(client_.get(), &rejected, sizeof rejected);
        client_.reset();
        return;
    }
    std::vector<int> descriptors = {descriptors_.counters, descriptors_.log_rings,
                                    descriptors_.annotations, table_file->get()};
    if (running_.image)
        descriptors.push_back(running_.image.get());
    if (!send_message(client_.get(), &hello, sizeof hello, descriptors))
        client_.reset();
}

void ContractServer::on_client() {
    Buffer buffer;
    Received received = receive(client_.get(), buffer);
    if (received.length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (received.length <= 0) {
        client_.reset();
        return;
    }
    const auto message = std::span(buffer).first(static_cast<std::size_t>(received.length));
    const Result<Request> request = read_request(message, received.descriptors.size());
    bool sent = false;
    if (!request)
        sent = refuse(0, request.error());
    else if (const auto* offer = std::get_if<contract::Offer>(&*request))
        sent = answer(*offer, std::move(received.descriptors.front()));
    else if (const auto* states = std::get_if<contract::StatesRequest>(&*request))
        sent = answer(*states);
    else if (const auto* tables = std::get_if<contract::TablesRequest>(&*request))
        sent = answer(*tables, std::move(received.descriptors.front()));
    else if (const auto* order = std::get_if<contract::Order>(&*request))
        sent = answer(*order);
    else if (const auto* trace = std::get_if<contract::TraceRequest>(&*request))
        sent = answer(*trace);
    else if (const auto* watch = std::get_if<contract::WatchOrder>(&*request))
        sent = answer(*watch);
    else if (const auto* pattern = std::get_if<contract::PatternRequest>(&*request))
        sent = answer(*pattern);
    else if (const auto* recheck = std::get_if<contract::RecheckStates>(&*request))
        sent = answer(*recheck);
    else
        sent = answer(std::get<contract::KillStates>(*request));
    if (!sent)
        client_.reset();
}

Result<Done> ContractServer::take(const contract::Offer& offer, UniqueFd image) {
    if (locked_)
        return locked();
    if (predecessor_)
        return Error{ExitStatus::unavailable,
                     "generation " + std::to_string(running_.generation) +
                         " waits for its confirmation: confirm it or give it back first"};
    if (offer.revert_after_ms != 0 && running_.generation == 0)
        return Error{ExitStatus::data, "there is no ruleset yet to go back to"};
    if (offer.generation <= highest_generation_)
        return Error{ExitStatus::data,
                     "generation " + std::to_string(offer.generation) +
                         " does not follow generation " + std::to_string(highest_generation_) +
                         (highest_generation_ == running_.generation ? ", which runs"
                                                                     : ", which ran before")};
    if (offer.generation >= contract::kGenerationLimit)
        return Error{ExitStatus::data, "generation " + std::to_string(offer.generation) +
                                           " is too large: generations are below " +
                                           std::to_string(contract::kGenerationLimit)};
    if (auto checked = check_image_file(image.get(), offer.size); !checked)
        return checked.error();
    const Mapping mapping(image.get(), offer.size);
    if (!mapping)
        return Error{ExitStatus::os,
                     std::string("the snapshot cannot be mapped: ") + std::strerror(errno)};
    contract::SnapshotHeader header;
    std::memcpy(&header, mapping.bytes().data(), sizeof header);
    if (header.generation != offer.generation)
        return Error{ExitStatus::data, "the snapshot holds generation " +
                                           std::to_string(header.generation) + ", the offer says " +
                                           std::to_string(offer.generation)};
    using Prepared = Callbacks::Prepared;
    const Result<contract::RulesetCost> published = callbacks_.publish(
        mapping.bytes(), offer.with_tables != 0 ? Prepared::commit : Prepared::discard);
    if (!published)
        return published.error();
    Ruleset next{.image = std::move(image), .generation = offer.generation, .cost = *published};
    std::swap(running_, next);
    if (offer.revert_after_ms != 0)
        predecessor_ = {.ruleset = std::move(next),
                        .due = std::chrono::steady_clock::now() +
                               std::chrono::milliseconds(offer.revert_after_ms)};
    highest_generation_ = offer.generation;
    returned_from_ = 0;
    next_rule_id_ = std::max(next_rule_id_, next_id_of(mapping.bytes()));
    return Done{};
}

// The predecessor runs again.
Result<Done> ContractServer::give_back() {
    const std::size_t size = file_size(predecessor_->ruleset.image.get());
    const Mapping mapping(predecessor_->ruleset.image.get(), size);
    if (!mapping)
        return Error{ExitStatus::os, std::string("the ruleset before it cannot be mapped: ") +
                                         std::strerror(errno)};
    const Result<contract::RulesetCost> published =
        callbacks_.publish(mapping.bytes(), Callbacks::Prepared::discard);
    if (!published)
        return published.error();
    returned_from_ = running_.generation;
    running_ = std::move(predecessor_->ruleset);
    running_.cost = *published;
    predecessor_.reset();
    reported_late_ = false;
    std::fprintf(
        stderr, "sluice-dataplane: generation %llu was not confirmed, generation %llu runs again\n",
        static_cast<unsigned long long>(returned_from_),
        static_cast<unsigned long long>(running_.generation));
    tell_returned(returned_from_);
    return Done{};
}

void ContractServer::tell_returned(std::uint64_t from) {
    if (!client_)
        return;  // the next one is told when it is greeted
    contract::Returned returned;
    returned.header.length = sizeof returned;
    returned.generation = running_.generation;
    returned.from = from;
    returned.cost = running_.cost;
    if (!send_message(client_.get(), &returned, sizeof returned, {running_.image.get()}))
        client_.reset();
}

bool ContractServer::answer(const contract::WatchOrder& order) {
    const auto watch = callbacks_.watch(order);
    watches_ = watch && watch->number != 0;
    if (!watch)
        return refuse(0, watch.error());
    contract::WatchReply reply;
    reply.header.length = sizeof reply;
    reply.watch = watch->number;
    const std::vector<int> rings(watches_ ? 1 : 0, watch->rings);
    return send_message(client_.get(), &reply, sizeof reply, rings);
}

bool ContractServer::answer(const contract::PatternRequest& request) {
    const auto bytes = callbacks_.report_pattern(request.name);
    if (!bytes)
        return refuse(running_.generation, bytes.error());
    const auto file = file_of(*bytes, "a report about patterns");
    if (!file)
        return refuse(running_.generation, file.error());
    contract::PatternReply reply;
    reply.header.length = sizeof reply;
    reply.size = bytes->size();
    return send_message(client_.get(), &reply, sizeof reply, {file->get()});
}

void ContractServer::end_watch() {
    watches_ = !callbacks_.watch({});
}

void ContractServer::tend() {
    // Nobody takes the copies away any more.
    if (!client_ && watches_)
        end_watch();
    if (!predecessor_ || std::chrono::steady_clock::now() < predecessor_->due)
        return;
    const Result<Done> returned = give_back();
    if (!returned && !std::exchange(reported_late_, true))
        std::fprintf(stderr,
                     "sluice-dataplane: the ruleset that was not confirmed is still there: "
                     "%s; it is tried again\n",
                     returned.error().message.c_str());
}

Result<Done> ContractServer::carry_out(const contract::Order& order) {
    switch (order.kind) {
        case contract::OrderKind::confirm:
        case contract::OrderKind::give_back:
            if (!predecessor_)
                return Error{ExitStatus::unavailable,
                             returned_from_ != 0
                                 ? "nothing waits to be confirmed: generation " +
                                       std::to_string(returned_from_) + " has gone back already"
                                 : "nothing waits to be confirmed"};
            if (order.kind == contract::OrderKind::give_back)
                return give_back();
            predecessor_.reset();
            return Done{};
        case contract::OrderKind::lock:
            if (predecessor_)
                return Error{ExitStatus::unavailable,
                             "generation " + std::to_string(running_.generation) +
                                 " waits for its confirmation: confirm it or give it back before "
                                 "nothing can be changed any more"};
            locked_ = true;
            std::fprintf(stderr, "sluice-dataplane: locked: rules and tables stay as they are\n");
            return Done{};
        case contract::OrderKind::panic:
        case contract::OrderKind::count_:
            break;
    }
    if (locked_ && order.panic == contract::Panic::pass)
        return locked();
    panic_ = order.panic;
    std::fprintf(stderr, "sluice-dataplane: panic: %s\n",
                 panic_ == contract::Panic::off    ? "over, the rules decide"
                 : panic_ == contract::Panic::deny ? "all IP is dropped"
                                                   : "all IP passes");
    return callbacks_.set_panic(order.panic);
}

bool ContractServer::answer(const contract::Order& order) {
    if (auto done = carry_out(order); !done)
        return refuse(running_.generation, done.error());
    if (!client_)  // it did not take the news
        return true;
    contract::OrderDone done;
    done.header.length = sizeof done;
    done.generation = running_.generation;
    return send_message(client_.get(), &done, sizeof done);
}

bool ContractServer::answer(const contract::Offer& offer, UniqueFd image) {
    if (auto taken = take(offer, std::move(image)); !taken)
        return refuse(offer.generation, taken.error());
    contract::Accepted accepted;
    accepted.header.length = sizeof accepted;
    accepted.generation = offer.generation;
    accepted.cost = running_.cost;
    return send_message(client_.get(), &accepted, sizeof accepted);
}

bool ContractServer::answer(const contract::StatesRequest& request) {
    const StatesPiece piece = callbacks_.list_states(request);
    contract::StatesReply reply;
    reply.header.length = sizeof reply;
    reply.state_count = piece.count;
    reply.record_count = static_cast<std::uint32_t>(piece.records.size());
    reply.last = piece.last ? 1 : 0;
    reply.next = piece.next;
    if (piece.records.empty())
        return send_message(client_.get(), &reply, sizeof reply);
    const auto file = file_of(std::as_bytes(std::span(piece.records)),
                              "a list of " + std::to_string(piece.records.size()) + " states");
    if (!file)
        return refuse(running_.generation, file.error());
    return send_message(client_.get(), &reply, sizeof reply, {file->get()});
}

bool ContractServer::answer(const contract::KillStates& order) {
    const auto killed = callbacks_.kill_states(order.filter);
    if (!killed)
        return refuse(running_.generation, killed.error());
    contract::KillReply reply;
    reply.header.length = sizeof reply;
    reply.count = *killed;
    return send_message(client_.get(), &reply, sizeof reply);
}

bool ContractServer::answer(const contract::RecheckStates& request) {
    const auto reply = callbacks_.recheck_states(request);
    if (!reply)
        return refuse(running_.generation, reply.error());
    return send_message(client_.get(), &*reply, sizeof *reply);
}

bool ContractServer::answer(const contract::TraceRequest& request) {
    const Result<TraceAnswer> trace = callbacks_.trace(request);
    if (!trace)
        return refuse(running_.generation, trace.error());
    contract::TraceReply reply;
    reply.header.length = sizeof reply;
    reply.step_count = trace->steps.size();
    reply.verdict = trace->verdict;
    if (trace->steps.empty())
        return send_message(client_.get(), &reply, sizeof reply);
    const auto file = file_of(std::as_bytes(std::span(trace->steps)), "a trace");
    if (!file)
        return refuse(running_.generation, file.error());
    return send_message(client_.get(), &reply, sizeof reply, {file->get()});
}

Result<std::vector<std::byte>> ContractServer::carry_out(const contract::TablesRequest& request,
                                                         UniqueFd batch) {
    if (auto checked = check_image_file(batch.get(), request.size, "the batch"); !checked)
        return checked.error();
    const Mapping mapping(batch.get(), request.size);
    if (!mapping)
        return Error{ExitStatus::os,
                     std::string("the batch cannot be mapped: ") + std::strerror(errno)};
    if (locked_ && changes_tables(mapping.bytes()))
        return locked();
    spoke_ = std::chrono::steady_clock::now();
    return callbacks_.change_tables(mapping.bytes(), request.mode, [this] { say_working(); });
}

// A client that has gone is noticed when the answer is sent.
void ContractServer::say_working() {
    const auto now = std::chrono::steady_clock::now();
    if (now - spoke_ < std::chrono::milliseconds(contract::kWorkingIntervalMs))
        return;
    spoke_ = now;
    contract::Working working;
    working.header.length = sizeof working;
    send_message(client_.get(), &working, sizeof working);
}

bool ContractServer::answer(const contract::TablesRequest& request, UniqueFd batch) {
    const auto bytes = carry_out(request, std::move(batch));
    if (!bytes)
        return refuse(running_.generation, bytes.error());
    const auto file = file_of(*bytes, "an answer about tables");
    if (!file)
        return refuse(running_.generation, file.error());
    contract::TablesReply reply;
    reply.header.length = sizeof reply;
    reply.size = bytes->size();
    return send_message(client_.get(), &reply, sizeof reply, {file->get()});
}

bool ContractServer::refuse(std::uint64_t generation, const Error& error) {
    std::fprintf(stderr, "sluice-dataplane: refused what the control plane sent: %s\n",
                 error.message.c_str());
    const contract::Rejected rejected = rejection(generation, error.message);
    return send_message(client_.get(), &rejected, sizeof rejected);
}

}  // namespace sluice::dataplane
