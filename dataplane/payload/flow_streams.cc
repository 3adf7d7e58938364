#include "dataplane/payload/flow_streams.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace sluice::payload {

namespace {

using contract::DropReason;
using contract::PayloadPart;
using contract::PayloadSkip;

constexpr std::uint64_t kOneLess = ~std::uint64_t{0};

bool is_of_http(PayloadPart part) {
    return part == PayloadPart::http_host || part == PayloadPart::http_uri;
}

}  // namespace

// ---- Memory -------------------------------------------------------------------------------------

template <typename T>
FlowStreams::Zeroed<T>::Zeroed(std::size_t count)
    : data(static_cast<T*>(std::calloc(std::max<std::size_t>(count, 1), sizeof(T)))),
      size(data != nullptr ? count : 0) {}

template <typename T>
FlowStreams::Zeroed<T>::~Zeroed() {
    std::free(data);
}

// A place is made when it is given away for the first time.
template <typename T>
std::uint32_t FlowStreams::Places<T>::take(std::uint32_t T::*link) {
    const std::uint32_t place = free;
    if (place != kNone) {
        free = memory[place].*link;
        return place;
    }
    return fresh < memory.size ? fresh++ : kNone;
}

template <typename T>
void FlowStreams::Places<T>::give_back(std::uint32_t place, std::uint32_t T::*link) {
    memory[place].*link = free;
    free = place;
}

FlowStreams::FlowStreams(const Spec& spec)
    : spec_(spec),
      flow_of_cell_(spec.cells),
      flows_(spec.flows),
      followings_(spec.flows * kObjectsPerFlow),
      heads_(spec.flows / kHeadsPerFlow + 1),
      order_(spec.segments) {}

FlowStreams::~FlowStreams() = default;

// ---- Flows --------------------------------------------------------------------------------------

void FlowStreams::begin_packet() {
    ++packet_;
    order_.begin_packet();
}

std::uint32_t FlowStreams::flow_of(state::CellIndex cell) const {
    return cell < flow_of_cell_.size && flow_of_cell_.data[cell] != 0 ? flow_of_cell_.data[cell] - 1
                                                                      : kNone;
}

std::uint32_t FlowStreams::open_flow(state::CellIndex cell, std::uint32_t uptime_s) {
    std::uint32_t place = flows_.take(&Flow::older);
    if (place == kNone) {
        constexpr int kTries = 8;
        std::uint32_t candidate = oldest_;
        for (int i = 0; i < kTries && candidate != kNone; ++i) {
            const Flow& flow = flows_.memory[candidate];
            if (flow.last_s + kIdle > uptime_s)
                break;
            if (!flow.found && !flow.blocked) {
                close_flow(candidate);
                place = flows_.take(&Flow::older);
                break;
            }
            candidate = flow.newer;
        }
    }
    if (place == kNone || cell >= flow_of_cell_.size)
        return kNone;
    Flow& flow = flows_.memory[place];
    flow = Flow{};
    flow.cell = cell;
    flow.last_s = uptime_s;
    link(place);
    flow_of_cell_[cell] = place + 1;
    contract::add(spec_.counters->payload_flows, 1);
    return place;
}

void FlowStreams::link(std::uint32_t place) {
    flows_.memory[place].older = newest_;
    (newest_ != kNone ? flows_.memory[newest_].newer : oldest_) = place;
    newest_ = place;
    if (oldest_warm_ == kNone)
        oldest_warm_ = place;
}

void FlowStreams::unlink(std::uint32_t place) {
    Flow& flow = flows_.memory[place];
    if (oldest_warm_ == place)
        oldest_warm_ = flow.newer;
    (flow.newer != kNone ? flows_.memory[flow.newer].older : newest_) = flow.older;
    (flow.older != kNone ? flows_.memory[flow.older].newer : oldest_) = flow.newer;
    flow.newer = flow.older = kNone;
}

void FlowStreams::touch(std::uint32_t place, std::uint32_t uptime_s) {
    Flow& flow = flows_.memory[place];
    flow.last_s = uptime_s;
    if (place == newest_)
        return;
    unlink(place);
    link(place);
}

void FlowStreams::close_flow(std::uint32_t place) {
    Flow& flow = flows_.memory[place];
    while (flow.first != kNone) {
        const std::uint32_t first = flow.first;
        Following& following = followings_.memory[first];
        for (View& view : following.sides)
            close_view(view, following);
        flow.first = following.next;
        followings_.give_back(first, &Following::next);
    }
    for (Side& side : flow.sides)
        order_.forget(side.order);
    unlink(place);
    flow_of_cell_[flow.cell] = 0;
    flows_.give_back(place, &Flow::older);
    contract::add(spec_.counters->payload_flows, kOneLess);
}

void FlowStreams::state_gone(state::CellIndex cell) {
    if (const std::uint32_t place = flow_of(cell); place != kNone)
        close_flow(place);
}

void FlowStreams::block(state::CellIndex cell) {
    if (const std::uint32_t place = flow_of(cell); place != kNone)
        flows_.memory[place].blocked = true;
}

// ---- Asking -------------------------------------------------------------------------------------

FlowStreams::Answer FlowStreams::ask(const Question& question) {
    Answer answer;
    std::uint32_t place = flow_of(question.cell);
    const Object& object = objects_[question.object];
    const bool looks = !question.bytes.empty() && object.looks_at(question.forward);
    if (place == kNone) {
        if (!looks && !question.young)
            return answer;
        place = open_flow(question.cell, question.uptime_s);
        if (place == kNone) {
            std::optional<PayloadSkip> memory;
            if (looks)
                skip(memory, PayloadSkip::no_flow, answer);
            answer.finding = look_alone(question);
            return answer;
        }
        flows_.memory[place].young = question.young;
    }
    now_s_ = question.uptime_s;
    touch(place, question.uptime_s);
    Flow& flow = flows_.memory[place];
    if (flow.blocked) {
        answer.drop = DropReason::payload_unseen;
        return answer;
    }
    const std::uint32_t at = following(flow, question, answer);
    if (at == kNone) {
        answer.finding = look_alone(question);
        return answer;
    }
    Following& asked = followings_.memory[at];
    renew(asked, object);
    if (looks) {
        if (question.transport == Transport::tcp && flow.packet != packet_)
            put_into_order(flow, question, answer);
        feed(asked, question, answer);
        const std::optional<PayloadSkip>& unseen = asked.sides[question.forward ? 0 : 1].unseen;
        if (!answer.skip && unseen)
            answer.skip = unseen;
        if (!answer.skip && question.transport == Transport::tcp)
            answer.skip = flow.sides[question.forward ? 0 : 1].unseen;
    }
    flow.found |= asked.finding.found();
    answer.finding = asked.finding;
    return answer;
}

// The memory of one object and part; it is made when bytes are there to be looked at.
std::uint32_t FlowStreams::following(Flow& flow, const Question& question, Answer& answer) {
    const Object& object = objects_[question.object];
    for (std::uint32_t at = flow.first; at != kNone; at = followings_.memory[at].next)
        if (followings_.memory[at].identity == object.identity &&
            followings_.memory[at].part == question.part)
            return at;
    if (question.bytes.empty() || !object.looks_at(question.forward))
        return kNone;
    const std::uint32_t at = followings_.take(&Following::next);
    if (at == kNone) {
        std::optional<PayloadSkip> memory;
        skip(memory, PayloadSkip::no_stream, answer);
        return kNone;
    }
    Following& made = followings_.memory[at];
    made = Following{};
    made.identity = object.identity;
    made.serial = object.matcher->serial();
    made.asked = object.asked_identity;
    made.part = question.part;
    made.next = flow.first;
    flow.first = at;
    // Others have followed the flow for some time already.
    for (const bool forward : {true, false}) {
        const Side& side = flow.sides[forward ? 0 : 1];
        const bool late =
            flow.packet == packet_ && forward == question.forward ? side.given : side.given_next;
        if (late && object.looks_at(forward))
            skip(made.sides[forward ? 0 : 1].unseen, PayloadSkip::mid_flow, answer);
    }
    return at;
}

// ---- Order --------------------------------------------------------------------------------------

void FlowStreams::begins_at(state::CellIndex cell, bool forward, std::uint32_t sequence) {
    const std::uint32_t place = flow_of(cell);
    if (place == kNone)
        return;
    Side& side = flows_.memory[place].sides[forward ? 0 : 1];
    if (side.begun)
        return;
    side.begun = true;
    side.order.next_sequence = sequence;
}

void FlowStreams::reopened(state::CellIndex cell, bool forward, std::uint32_t sequence,
                           std::uint32_t uptime_s) {
    if (const std::uint32_t before = flow_of(cell); before != kNone)
        close_flow(before);
    const std::uint32_t place = open_flow(cell, uptime_s);
    if (place == kNone)
        return;
    flows_.memory[place].young = true;
    flows_.memory[place].reopened = true;
    begins_at(cell, forward, sequence);
}

// A packet by itself, where there is no room to follow its flow.
Finding FlowStreams::look_alone(const Question& question) {
    const Object& object = objects_[question.object];
    std::span<const std::byte> bytes = question.bytes;
    if (bytes.empty() || !object.looks_at(question.forward))
        return {};
    if (question.part != PayloadPart::payload) {
        const Part part = find_part(question.part, question.transport, bytes, scratch_);
        if (part.found != Found::yes)
            return {};
        bytes = part.bytes;
    }
    contract::add(spec_.counters->payload_scans, 1);
    contract::add(spec_.counters->payload_bytes, bytes.size());
    const Finding finding = object.look(spec_.reader, question.part, bytes);
    contract::add(spec_.counters->payload_matches, finding.found() ? 1 : 0);
    return finding;
}

// Where the side begins: behind what the other one has acknowledged, if the flow was young enough.
void FlowStreams::begin_side(const Flow& flow, Side& side, const Question& question,
                             Answer& answer) {
    const bool known = flow.young && !flow.reopened && question.acknowledged;
    side.begun = true;
    side.order.next_sequence = known ? *question.acknowledged : question.sequence;
    if (!known)
        skip(side.unseen, PayloadSkip::mid_flow, answer);
}

// How far ahead anything of the side can still matter.
std::size_t FlowStreams::bytes_wanted(Flow& flow, bool forward) {
    std::size_t wanted = 0;
    for (std::uint32_t at = flow.first; at != kNone; at = followings_.memory[at].next) {
        const Following& following = followings_.memory[at];
        const View& view = following.sides[forward ? 0 : 1];
        const Object* object = object_of(following);
        if (object == nullptr || view.progress == Progress::done || !object->looks_at(forward))
            continue;
        const std::size_t depth =
            following.part == PayloadPart::payload ? object->depth : kLongestHead;
        wanted = std::max(wanted, depth - std::min<std::size_t>(view.seen, depth));
    }
    // Others may be asked for with this packet, and begin with it.
    if (!flow.sides[forward ? 0 : 1].given_next)
        for (const Object& object : objects_)
            if (object.mode == contract::PatternMode::stream && object.looks_at(forward))
                wanted = std::max<std::size_t>(wanted, object.depth);
    return wanted;
}

void FlowStreams::put_into_order(Flow& flow, const Question& question, Answer& answer) {
    Side& side = flow.sides[question.forward ? 0 : 1];
    flow.packet = packet_;
    side.given = side.given_next;
    if (!side.begun)
        begin_side(flow, side, question, answer);
    const bool acknowledged = question.acknowledged && !flow.reopened;
    if (acknowledged)
        order_.acknowledged(side.order, *question.acknowledged);
    const std::size_t wanted = bytes_wanted(flow, question.forward);
    const auto missed =
        static_cast<std::int32_t>(question.acknowledged.value_or(0) - side.order.next_sequence);
    if (acknowledged && missed > 0 && wanted != 0) {
        order_.skip_to(side.order, *question.acknowledged);
        skip(side.unseen, PayloadSkip::gap, answer);
        begin_anew(flow, question.forward);
    }
    const auto ahead = static_cast<std::int32_t>(question.sequence - side.order.next_sequence);
    pieces_.count = 0;
    took_ = TcpOrder::Took::old;
    if (wanted == 0 && ahead >= 0)
        return order_.skip_to(
            side.order, question.sequence + static_cast<std::uint32_t>(question.bytes.size()));
    else if (ahead > 0 && static_cast<std::size_t>(ahead) >= wanted)
        return;  // nobody will ask for these bytes
    took_ = order_.take(side.order, question.sequence, question.bytes, pieces_);
    side.given_next |= pieces_.count != 0;
    if (took_ == TcpOrder::Took::conflict)
        answer.drop = DropReason::payload_conflict;
    if (took_ == TcpOrder::Took::no_room)
        answer.drop = DropReason::payload_order;
    if (took_ == TcpOrder::Took::kept)
        contract::add(spec_.counters->payload_kept, 1);
    for (std::uint32_t at = flow.first; at != kNone; at = followings_.memory[at].next)
        feed(followings_.memory[at], question, answer);
}

// Behind a gap nothing hangs together with what was before.
void FlowStreams::begin_anew(Flow& flow, bool forward) {
    for (std::uint32_t at = flow.first; at != kNone; at = followings_.memory[at].next) {
        Following& following = followings_.memory[at];
        View& view = following.sides[forward ? 0 : 1];
        if (view.progress == Progress::done)
            continue;
        close_view(view, following);
        view.progress = following.part == PayloadPart::payload ? Progress::fresh : Progress::done;
    }
}

// ---- Looking ------------------------------------------------------------------------------------

const Object* FlowStreams::object_of(const Following& following) const {
    for (const Object& object : objects_)
        if (object.identity == following.identity && object.mode == contract::PatternMode::stream)
            return &object;
    return nullptr;
}

// The object has changed in a reload, or what rules ask it for.
void FlowStreams::renew(Following& following, const Object& object) {
    if (following.serial == object.matcher->serial() && following.asked == object.asked_identity)
        return;
    if (following.serial != object.matcher->serial()) {
        following.serial = object.matcher->serial();
        for (View& view : following.sides) {
            if (view.stream != nullptr || view.cold != ColdMemory::kNone)
                contract::add(spec_.counters->payload_restarted, 1);
            view.stream = nullptr;  // it went with its matcher
            view.cold = ColdMemory::kNone;
        }
    }
    following.asked = object.asked_identity;
    if (!following.finding.found())
        return;
    const std::uint32_t value = following.finding.value;
    following.finding = {};
    following.finding.note(0, value, object.asked);
}

void FlowStreams::close_view(View& view, const Following& following) {
    if (view.head != kNone)
        heads_.give_back(view.head, &Head::length);
    view.head = kNone;
    if (view.stream == nullptr && view.cold == ColdMemory::kNone)
        return;
    const Object* object = object_of(following);
    if (object != nullptr && object->matcher->serial() == following.serial) {
        if (view.stream != nullptr)
            object->matcher->close_stream(spec_.reader, view.stream);
        else
            object->matcher->forget_compressed(spec_.reader, view.cold);
    }
    view.stream = nullptr;
    view.cold = ColdMemory::kNone;
}

// Those of a few flows that have been silent longest. False: none was there to be compressed.
bool FlowStreams::compress_some() {
    constexpr int kFlows = 4;
    bool some = false;
    for (int i = 0; i < kFlows && oldest_warm_ != kNone; ++i) {
        const Flow& flow = flows_.memory[oldest_warm_];
        if (flow.last_s + kCold > now_s_)
            break;
        for (std::uint32_t at = flow.first; at != kNone; at = followings_.memory[at].next) {
            Following& following = followings_.memory[at];
            const Object* object = object_of(following);
            if (object == nullptr || object->matcher->serial() != following.serial)
                continue;
            for (View& view : following.sides) {
                if (view.stream == nullptr)
                    continue;
                view.cold = object->matcher->compress_stream(spec_.reader, view.stream);
                if (view.cold == ColdMemory::kNone)
                    continue;
                view.stream = nullptr;
                some = true;
            }
        }
        oldest_warm_ = flow.newer;
    }
    return some;
}

// As it was left. Null: there is no memory.
hs_stream* FlowStreams::stream_of(View& view, const Object& object) {
    const Matcher& matcher = *object.matcher;
    const auto get = [&] {
        return view.cold != ColdMemory::kNone ? matcher.expand_stream(spec_.reader, view.cold)
                                              : matcher.open_stream(spec_.reader);
    };
    if (view.stream != nullptr)
        return view.stream;
    view.stream = get();
    if (view.stream == nullptr && compress_some())
        view.stream = get();
    if (view.stream != nullptr)
        view.cold = ColdMemory::kNone;
    return view.stream;
}

// Gives what is new of the packet to one object.
void FlowStreams::feed(Following& following, const Question& question, Answer& answer) {
    if (following.fed == packet_)
        return;
    following.fed = packet_;
    const Object* object = object_of(following);
    if (object == nullptr || !object->looks_at(question.forward))
        return;
    renew(following, *object);
    if (question.transport != Transport::tcp) {
        look_at_start(following, *object, question.transport, question.bytes);
        return;
    }
    View& view = following.sides[question.forward ? 0 : 1];
    if (view.progress == Progress::done) {
        // A connection carries one request after the other.
        if (is_of_http(following.part))
            look_at_start(following, *object, question.transport, question.bytes);
    } else if (following.part == PayloadPart::payload) {
        feed_stream(following, view, *object, answer);
    } else {
        feed_head(following, view, *object, answer);
    }
}

void FlowStreams::feed_stream(Following& following, View& view, const Object& object,
                              Answer& answer) {
    for (std::span<const std::byte> bytes : pieces_.all()) {
        bytes = bytes.first(std::min<std::size_t>(bytes.size(), object.depth - view.seen));
        if (bytes.empty() || object.matcher->pattern_count() == 0)
            break;
        if (stream_of(view, object) == nullptr) {
            skip(view.unseen, PayloadSkip::no_stream, answer);
            note(following, object.look(spec_.reader, following.part, bytes));
            break;
        }
        view.progress = Progress::open;
        view.seen += static_cast<std::uint32_t>(bytes.size());
        contract::add(spec_.counters->payload_scans, 1);
        contract::add(spec_.counters->payload_bytes, bytes.size());
        note(following, object.matcher->look(spec_.reader, view.stream, bytes, object.asked));
    }
    const bool knows_enough = following.finding.found() && object.asked.empty();
    if (view.seen < object.depth && !knows_enough && object.matcher->pattern_count() != 0)
        return;
    close_view(view, following);
    view.progress = Progress::done;
}

// A part lies in the first bytes; those that do not tell yet are kept until they do.
void FlowStreams::feed_head(Following& following, View& view, const Object& object,
                            Answer& answer) {
    for (const std::span<const std::byte> piece : pieces_.all()) {
        std::span<const std::byte> start = piece;
        if (view.head != kNone) {
            Head& head = heads_.memory[view.head];
            const std::size_t length = std::min(piece.size(), kLongestHead - head.length);
            std::memcpy(head.bytes.data() + head.length, piece.data(), length);
            head.length += static_cast<std::uint32_t>(length);
            start = std::span<const std::byte>(head.bytes).first(head.length);
        }
        view.seen += static_cast<std::uint32_t>(piece.size());
        const Part part = find_part(following.part, Transport::tcp, start, scratch_);
        if (part.found == Found::yes) {
            contract::add(spec_.counters->payload_scans, 1);
            contract::add(spec_.counters->payload_bytes, part.bytes.size());
            note(following, object.look(spec_.reader, following.part, part.bytes));
        }
        if (part.found == Found::more && start.size() < kLongestHead) {
            view.progress = Progress::open;
            if (view.head != kNone)
                continue;
            view.head = heads_.take(&Head::length);
            if (view.head != kNone) {
                Head& head = heads_.memory[view.head];
                std::memcpy(head.bytes.data(), start.data(), start.size());
                head.length = static_cast<std::uint32_t>(start.size());
                continue;
            }
        }
        // It was too long to be kept, or there was no room to do so.
        if (part.found == Found::more)
            skip(view.unseen, PayloadSkip::no_stream, answer);
        close_view(view, following);
        view.progress = Progress::done;
        return;
    }
}

// At bytes that begin something by themselves.
void FlowStreams::look_at_start(Following& following, const Object& object, Transport transport,
                                std::span<const std::byte> bytes) {
    if (following.part != PayloadPart::payload) {
        const Part part = find_part(following.part, transport, bytes, scratch_);
        if (part.found != Found::yes)
            return;
        bytes = part.bytes;
    }
    contract::add(spec_.counters->payload_scans, 1);
    contract::add(spec_.counters->payload_bytes, bytes.size());
    note(following, object.look(spec_.reader, following.part, bytes));
}

void FlowStreams::note(Following& following, const Finding& finding) {
    const std::uint32_t before = following.finding.pattern;
    const auto asked_before = following.finding.asked;
    following.finding.add(finding);
    if (following.finding.pattern != before || following.finding.asked != asked_before)
        contract::add(spec_.counters->payload_matches, 1);
}

// Counted when it becomes known.
void FlowStreams::skip(std::optional<PayloadSkip>& memory, PayloadSkip why, Answer& answer) {
    answer.skip = why;
    if (memory)
        return;
    memory = why;
    contract::add(spec_.counters->payload_skips[static_cast<std::size_t>(why)], 1);
}

}  // namespace sluice::payload
