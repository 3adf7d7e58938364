#include "tests/unit/service/fake_dataplane.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <random>
#include <span>

#include "dataplane/table/table_batch.h"

namespace sluice::service {
namespace {

UniqueFd memory_file(std::size_t size) {
    UniqueFd fd(memfd_create("fake-dataplane", MFD_CLOEXEC));
    if (ftruncate(fd.get(), static_cast<off_t>(size)) != 0)
        std::abort();
    return fd;
}

std::byte* map(const UniqueFd& fd, std::size_t size, int protection) {
    void* data = mmap(nullptr, size, protection, MAP_SHARED, fd.get(), 0);
    if (data == MAP_FAILED)
        std::abort();
    return static_cast<std::byte*>(data);
}

constexpr int kBoth = PROT_READ | PROT_WRITE;

}  // namespace

FakeDataplane::FakeDataplane(EventLoop& loop, std::string path, Behaviour what)
    : behaviour(std::move(what)), loop_(loop), path_(std::move(path)) {
    std::random_device random;
    boot_id_ = std::uint64_t{random()} << 32 | random() | 1;
    const std::uint64_t stride = contract::counter_worker_stride(behaviour.slot_capacity);
    contract::CounterHeader header;
    header.worker_count = behaviour.workers;
    header.slot_capacity = behaviour.slot_capacity;
    header.worker_offset = 4096;
    header.worker_stride = stride;
    counters_size_ = header.worker_offset + behaviour.workers * stride;
    counters_fd_ = memory_file(counters_size_);
    counters_ = map(counters_fd_, counters_size_, kBoth);
    std::memcpy(counters_, &header, sizeof header);

    const std::size_t ring_stride = contract::log_ring_stride(behaviour.log_ring_capacity);
    rings_fd_ = memory_file(ring_stride * behaviour.workers);
    rings_memory_ = map(rings_fd_, ring_stride * behaviour.workers, kBoth);
    for (std::uint32_t i = 0; i < behaviour.workers; ++i)
        rings_.push_back(contract::LogRing::create(rings_memory_ + i * ring_stride,
                                                   behaviour.log_ring_capacity));

    const std::size_t annotations_size = behaviour.slot_capacity * sizeof(contract::SlotAnnotation);
    annotations_fd_ = memory_file(annotations_size);
    annotations_ =
        reinterpret_cast<contract::SlotAnnotation*>(map(annotations_fd_, annotations_size, kBoth));

    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.c_str(), path_.size() + 1);
    unlink(path_.c_str());
    listener_ = UniqueFd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        listen(listener_.get(), 4) != 0)
        std::abort();
    loop_.watch(listener_.get(), EPOLLIN, [this](std::uint32_t) { greet(); });
}

FakeDataplane::~FakeDataplane() {
    disconnect();
    loop_.forget(listener_.get());
    unlink(path_.c_str());
    munmap(counters_, counters_size_);
    munmap(rings_memory_,
           contract::log_ring_stride(behaviour.log_ring_capacity) * behaviour.workers);
    munmap(annotations_, behaviour.slot_capacity * sizeof(contract::SlotAnnotation));
    if (image_ != nullptr)
        munmap(image_, image_size_);
}

void FakeDataplane::disconnect() {
    if (!peer_)
        return;
    loop_.forget(peer_.get());
    peer_.reset();
}

template <typename Message>
void FakeDataplane::send(Message message, const std::vector<int>& descriptors) {
    message.header.length = sizeof message;
    iovec part{&message, sizeof message};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 8)] = {};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    if (!descriptors.empty()) {
        header.msg_control = control;
        header.msg_controllen = CMSG_SPACE(sizeof(int) * descriptors.size());
        cmsghdr* head = CMSG_FIRSTHDR(&header);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int) * descriptors.size());
        std::memcpy(CMSG_DATA(head), descriptors.data(), sizeof(int) * descriptors.size());
    }
    if (sendmsg(peer_.get(), &header, MSG_NOSIGNAL) < 0)
        disconnect();
}

void FakeDataplane::greet() {
    UniqueFd peer(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!peer)
        return;
    disconnect();
    peer_ = std::move(peer);
    loop_.watch(peer_.get(), EPOLLIN, [this](std::uint32_t) { readable(); });
    contract::Hello hello;
    hello.boot_id = boot_id_;
    hello.generation = generation_;
    hello.process_id = 1;
    hello.worker_count = behaviour.workers;
    hello.port_count = 2;
    hello.slot_capacity = behaviour.slot_capacity;
    hello.log_ring_capacity = behaviour.log_ring_capacity;
    hello.state_capacity = behaviour.state_capacity;
    hello.state_buckets = behaviour.state_buckets;
    hello.cost = behaviour.cost;
    std::memcpy(hello.ports[0].name, "em0", 4);
    std::memcpy(hello.ports[1].name, "em1", 4);
    const auto descriptions = tables.descriptors();
    hello.table_count = static_cast<std::uint32_t>(descriptions.size());
    const std::size_t size = descriptions.size() * sizeof(contract::TableDescriptor);
    const UniqueFd tables_fd = memory_file(size);
    if (pwrite(tables_fd.get(), descriptions.data(), size, 0) != static_cast<ssize_t>(size))
        std::abort();
    std::vector<int> descriptors = {counters_fd_.get(), rings_fd_.get(), annotations_fd_.get(),
                                    tables_fd.get()};
    if (generation_ != 0)
        descriptors.push_back(snapshot_fd_.get());
    send(hello, descriptors);
}

void FakeDataplane::readable() {
    union {
        contract::MessageHeader header;
        contract::Offer offer;
        contract::StatesRequest states;
        contract::KillStates kill;
        contract::RecheckStates recheck;
        contract::TablesRequest tables;
        contract::PatternRequest patterns;
    } message{};
    iovec part{&message, sizeof message};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    const ssize_t n = recvmsg(peer_.get(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n <= 0)
        return disconnect();
    const auto size = static_cast<std::size_t>(n);
    if (message.header.length != size)
        std::abort();
    if (message.header.type == contract::MessageType::states_request &&
        size == sizeof message.states)
        return tell_states(message.states);
    if (message.header.type == contract::MessageType::kill_states && size == sizeof message.kill)
        return kill_states(message.kill.filter);
    if (message.header.type == contract::MessageType::recheck_states &&
        size == sizeof message.recheck)
        return recheck_states(message.recheck);
    if (message.header.type == contract::MessageType::pattern_request &&
        size == sizeof message.patterns)
        return tell_patterns(message.patterns);
    cmsghdr* head = CMSG_FIRSTHDR(&header);
    if (message.header.type == contract::MessageType::tables_request && head != nullptr) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(head), sizeof fd);
        return work(message.tables, std::make_shared<UniqueFd>(fd), behaviour.working);
    }
    if (size != sizeof message.offer || head == nullptr ||
        message.header.type != contract::MessageType::offer)
        std::abort();
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(head), sizeof fd);
    take_offer(message.offer, UniqueFd(fd));
}

bool FakeDataplane::answers_about_states(const contract::StateFilter& filter) {
    filter_ = filter;
    ++state_requests_;
    if (behaviour.hang_up_on_states)
        disconnect();
    else if (!behaviour.refuse_states_with.empty())
        refuse(0, behaviour.refuse_states_with);
    return !behaviour.hang_up_on_states && behaviour.refuse_states_with.empty() &&
           !behaviour.silent;
}

void FakeDataplane::tell_states(const contract::StatesRequest& request) {
    const contract::StateFilter& filter = request.filter;
    if (!answers_about_states(filter))
        return;
    contract::StatesReply reply;
    reply.next = {.worker = 0, .cell = request.from.cell + behaviour.states_at_once};
    reply.last = reply.next.cell >= states.size() ? 1 : 0;
    std::vector<contract::StateRecord> picked;
    for (std::size_t i = request.from.cell; i < states.size() && i < reply.next.cell; ++i)
        if (filter.rule_number == 0 || filter.rule_number == states[i].rule_number)
            picked.push_back(states[i]);
    for (const contract::StateRecord& state : picked)
        reply.state_count += state.kind == contract::StateKind::parent ? 0 : 1;
    if (behaviour.stuck_states)
        reply.next = request.from;
    if (request.wanted == contract::StatesWanted::count || picked.empty())
        return send(reply, {});
    const std::size_t size = picked.size() * sizeof(contract::StateRecord);
    const UniqueFd file = memory_file(size);
    if (pwrite(file.get(), picked.data(), size, 0) != static_cast<ssize_t>(size))
        std::abort();
    if (behaviour.short_states && ftruncate(file.get(), sizeof(contract::StateRecord)) != 0)
        std::abort();
    reply.record_count = static_cast<std::uint32_t>(picked.size());
    send(reply, {file.get()});
}

void FakeDataplane::kill_states(const contract::StateFilter& filter) {
    if (!answers_about_states(filter))
        return;
    contract::KillReply reply;
    reply.count = std::erase_if(states, [&](const contract::StateRecord& state) {
        return state.kind != contract::StateKind::parent &&
               (filter.rule_number == 0 || filter.rule_number == state.rule_number);
    });
    send(reply, {});
}

void FakeDataplane::recheck_states(const contract::RecheckStates& request) {
    if (!answers_about_states({}))
        return;
    contract::RecheckReply reply = behaviour.judged;
    const std::uint32_t next = request.from.cell + (behaviour.stuck_states ? 0 : 1);
    reply.next = {.worker = 0, .cell = next};
    reply.last = next >= behaviour.judged_pieces ? 1 : 0;
    send(reply, {});
}

void FakeDataplane::tell_patterns(const contract::PatternRequest& request) {
    const auto objects = view_->pattern_objects();
    const auto object = std::find_if(objects.begin(), objects.end(), [&](const auto& each) {
        return std::string_view(each.name) == request.name;
    });
    if (object == objects.end())
        return refuse(0, "there is no such object");
    const contract::PatternReport report{.database_bytes = object->database_size,
                                         .scratch_bytes = 2,
                                         .stream_bytes = 3,
                                         .streams = 4,
                                         .pattern_count = object->pattern_count};
    const std::size_t told = object->pattern_count - (behaviour.short_patterns ? 1 : 0);
    std::vector<std::uint64_t> hits(told);
    std::iota(hits.begin(), hits.end(), std::uint64_t{1});
    const std::size_t size = hits.size() * sizeof hits[0];
    const UniqueFd file = memory_file(sizeof report + size);
    if (pwrite(file.get(), &report, sizeof report, 0) != sizeof report ||
        pwrite(file.get(), hits.data(), size, sizeof report) != static_cast<ssize_t>(size))
        std::abort();
    contract::PatternReply reply;
    reply.size = sizeof report + size;
    send(reply, {file.get()});
}

void FakeDataplane::work(const contract::TablesRequest& request, std::shared_ptr<UniqueFd> file,
                         unsigned words) {
    if (words == 0)
        return change_tables(request, *file);
    send(contract::Working{}, {});
    loop_.after(std::chrono::milliseconds(20),
                [this, request, file, words] { work(request, file, words - 1); });
}

void FakeDataplane::change_tables(const contract::TablesRequest& request, const UniqueFd& file) {
    ++table_requests_;
    if (behaviour.hang_up_on_tables)
        return disconnect();
    if (!behaviour.refuse_tables_with.empty())
        return refuse(0, behaviour.refuse_tables_with);
    std::vector<std::uint64_t> words(request.size / sizeof(std::uint64_t));
    if (pread(file.get(), words.data(), request.size, 0) != static_cast<ssize_t>(request.size))
        std::abort();
    const auto batch = table::read_batch(std::as_bytes(std::span(words)));
    if (!batch)
        return refuse(0, batch.error().message);
    const table::Answer answer = tables.prepare(
        *batch,
        request.mode == contract::TablesMode::skip ? table::Failures::skip : table::Failures::stop,
        0);
    if (!answer.failed && request.mode != contract::TablesMode::prepare)
        tables.commit();
    const std::vector<std::byte> bytes = table::answer_bytes(answer);
    const UniqueFd reply_file = memory_file(bytes.size());
    if (pwrite(reply_file.get(), bytes.data(), bytes.size(), 0) !=
        static_cast<ssize_t>(bytes.size()))
        std::abort();
    contract::TablesReply reply;
    reply.size = bytes.size();
    send(reply, {reply_file.get()});
}

contract::StateRecord FakeDataplane::state_of(std::uint16_t number) const {
    contract::StateRecord record;
    for (const contract::RuleRecord& rule : view_->all_rules()) {
        if (rule.number != number)
            continue;
        record.rule_number = number;
        record.rule_slot = rule.slot;
        record.rule_id = rule.id;
        record.name = rule.state_name;
    }
    record.ip_version = 4;
    record.protocol = 6;
    record.expires_s = 300;
    record.packets = 4;
    record.bytes = 208;
    record.source.bytes = {10, 0, 0, 1};
    record.destination.bytes = {10, 0, 0, 2};
    record.source_port = 1025;
    record.destination_port = 80;
    return record;
}

void FakeDataplane::refuse(std::uint64_t generation, const std::string& reason) {
    contract::Rejected rejected;
    rejected.header.type = contract::MessageType::rejected;
    rejected.generation = generation;
    std::memcpy(rejected.reason, reason.data(),
                std::min(reason.size(), sizeof rejected.reason - 1));
    send(rejected, {});
}

void FakeDataplane::take_offer(const contract::Offer& offer, UniqueFd file) {
    ++offers_;
    if (behaviour.hang_up_on_offer)
        return disconnect();
    if (behaviour.silent)
        return;
    const auto reject = [&](const std::string& reason) {
        tables.discard();
        refuse(offer.generation, reason);
    };
    if (offer.with_tables != 0 && !tables.prepared())
        return reject("nothing of tables is prepared");
    if (!behaviour.reject_with.empty())
        return reject(behaviour.reject_with);
    constexpr int kSeals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
    if ((fcntl(file.get(), F_GET_SEALS) & kSeals) != kSeals)
        return reject("not sealed");
    if (offer.generation <= generation_)
        return reject("the generation does not grow");
    void* image = mmap(nullptr, offer.size, PROT_READ, MAP_SHARED, file.get(), 0);
    if (image == MAP_FAILED)
        return reject("cannot be mapped");
    const auto view = contract::SnapshotView::validate(
        {static_cast<const std::byte*>(image), static_cast<std::size_t>(offer.size)});
    if (!view || view->header().generation != offer.generation) {
        munmap(image, offer.size);
        return reject(view ? "another generation" : view.error().message);
    }
    view_ = std::make_unique<contract::SnapshotView>(*view);
    if (image_ != nullptr)
        munmap(image_, image_size_);
    image_ = image;
    image_size_ = offer.size;
    snapshot_fd_ = std::move(file);
    generation_ = offer.generation;
    if (offer.with_tables != 0)
        tables.commit();
    contract::Accepted accepted;
    accepted.header.type = contract::MessageType::accepted;
    accepted.generation = generation_;
    accepted.cost = behaviour.cost;
    send(accepted, {});
}

std::vector<std::string> FakeDataplane::rules() const {
    std::vector<std::string> result;
    if (view_)
        for (const contract::RuleRecord& rule : view_->rules().first(view_->rules().size() - 1))
            result.push_back(std::to_string(rule.number) + " " +
                             std::string(view_->rule_text(rule)));
    return result;
}

std::uint32_t FakeDataplane::slot_of(std::uint16_t number) const {
    if (view_)
        for (const contract::RuleRecord& rule : view_->rules())
            if (rule.number == number)
                return rule.slot;
    return 0;
}

void FakeDataplane::count(std::uint32_t worker, std::uint32_t slot, std::uint64_t packets,
                          std::uint64_t bytes, std::uint64_t time_s) {
    auto* rules = reinterpret_cast<contract::RuleCounters*>(worker_block(worker) +
                                                            sizeof(contract::WorkerCounters));
    contract::add(rules[slot].packets, packets);
    contract::add(rules[slot].bytes, bytes);
    contract::set(rules[slot].last_match_s, time_s);
}

std::byte* FakeDataplane::worker_block(std::uint32_t worker) const {
    return counters_ + 4096 + worker * contract::counter_worker_stride(behaviour.slot_capacity);
}

void FakeDataplane::set_state_counts(std::uint32_t worker, std::uint64_t count,
                                     std::uint64_t parents) {
    auto* counters = reinterpret_cast<contract::WorkerCounters*>(worker_block(worker));
    contract::set(counters->states, count);
    contract::set(counters->parents, parents);
}

void FakeDataplane::set_states_of(std::uint32_t worker, std::uint32_t slot, std::uint64_t count) {
    auto* rules = reinterpret_cast<contract::RuleCounters*>(worker_block(worker) +
                                                            sizeof(contract::WorkerCounters));
    contract::set(rules[slot].states, count);
}

bool FakeDataplane::log(std::uint32_t worker, const contract::LogRecord& record) {
    return rings_[worker].push(record);
}

}  // namespace sluice::service
