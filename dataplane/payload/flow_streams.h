// What is remembered of flows whose payload is followed: objects of mode stream.
//
// A flow begins when a rule first asks for one that has a state, and ends with the state. Of each
// side of a TCP connection the bytes are put into their order (tcp_order.h) and given, each once,
// to the streams of all objects that the flow is followed for. What was found holds for the rest of
// the flow. A stream ends, and gives its memory back, at the object's depth, or when nothing it
// could still find matters.
//
// Where it begins. The first byte is the one behind what the other side has acknowledged, so a flow
// is followed from its very beginning if it was young when a rule asked for it first. One whose
// packets went by before (a rule was added) is *mid-flow*; bytes that the other side has
// acknowledged and nobody has seen are a *gap*. Both are told, and it goes on behind. A SYN at a
// connection that has ended begins another one with the same state.
//
// Room. When all flows are in use, the one that was silent longest makes room, if it has been for
// kIdle and nothing was found in it. When an object's memory for streams is, those of flows that
// have been silent for kCold are compressed, a few at a time.
//
// Threads: belongs to one worker; so do the states. No allocation after it is made.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "dataplane/contract/counters.h"
#include "dataplane/contract/drop_reason.h"
#include "dataplane/contract/pattern.h"
#include "dataplane/payload/object.h"
#include "dataplane/payload/parts.h"
#include "dataplane/payload/tcp_order.h"
#include "dataplane/state/state_table.h"

namespace sluice::payload {

class FlowStreams {
  public:
    struct Spec {
        std::size_t cells = 0;     // of the worker's states
        std::size_t flows = 0;     // at the same time
        std::size_t segments = 0;  // that wait for those before them, of TcpOrder::kPieceSize
        unsigned reader = 0;       // of matchers
        contract::WorkerCounters* counters = nullptr;
    };
    static constexpr std::uint32_t kIdle = 2;  // seconds
    static constexpr std::uint32_t kCold = 1;
    static constexpr std::size_t kObjectsPerFlow = 4;  // on the average; each with its part
    static constexpr std::size_t kLongestHead = 4096;  // bytes in which a part must be found
    static constexpr std::size_t kHeadsPerFlow = 4;    // one flow in so many has one

    explicit FlowStreams(const Spec& spec);
    ~FlowStreams();
    FlowStreams(const FlowStreams&) = delete;

    // The objects of the ruleset from now on: before packets of it, and before states end.
    void use(std::span<const Object> objects) { objects_ = objects; }
    void begin_packet();

    struct Question {
        std::uint32_t object = 0;  // place in the ruleset, of mode stream
        contract::PayloadPart part = contract::PayloadPart::payload;
        state::CellIndex cell = 0;  // of the flow's state
        bool forward = true;
        Transport transport = Transport::tcp;
        std::uint32_t sequence = 0;        // of the first byte; TCP
        std::span<const std::byte> bytes;  // empty: what was found before is asked for
        std::optional<std::uint32_t>
            acknowledged;    // by the other side, so far, if it has been seen
        bool young = false;  // hardly a packet of the flow went by before
        std::uint32_t uptime_s = 0;
    };
    struct Answer {
        Finding finding;
        std::optional<contract::PayloadSkip> skip;  // it was not all looked at, because
        contract::DropReason drop = contract::DropReason::none;  // the packet must not pass
    };
    Answer ask(const Question& question);

    // Its side begins there, unless it has begun.
    void begins_at(state::CellIndex cell, bool forward, std::uint32_t sequence);
    // The state has another connection from now on, whose one side begins there.
    void reopened(state::CellIndex cell, bool forward, std::uint32_t sequence,
                  std::uint32_t uptime_s);

    // All packets of the flow are told to be dropped from now on.
    void block(state::CellIndex cell);

    void state_gone(state::CellIndex cell);
    // For the table of the states.
    state::StateEnds ends() {
        return {.gone =
                    [](void* flows, state::CellIndex cell) {
                        static_cast<FlowStreams*>(flows)->state_gone(cell);
                    },
                .listener = this};
    }

  private:
    static constexpr std::uint32_t kNone = 0xffffffff;

    enum class Progress : std::uint8_t { fresh, open, done };
    // One side of a flow as one object sees it.
    struct View {
        hs_stream* stream = nullptr;
        std::uint32_t cold = ColdMemory::kNone;  // the stream, while it is compressed
        std::uint32_t seen = 0;                  // bytes
        std::uint32_t head = kNone;
        Progress progress = Progress::fresh;
        std::optional<contract::PayloadSkip> unseen;  // something went by, and was told
    };
    struct Following {
        std::uint64_t identity = 0;  // of the object
        std::uint64_t serial = 0;    // of the matcher that its streams are of
        std::uint64_t fed = 0;       // the packet that it has seen last
        std::uint64_t asked = 0;     // Object::asked_identity, which the finding speaks of
        Finding finding;
        std::uint32_t next = kNone;  // of the flow
        contract::PayloadPart part = contract::PayloadPart::payload;
        View sides[2];  // forward, reverse
    };
    struct Side {
        SideOrder order;
        bool begun = false;
        bool given = false;                           // bytes, before the packet that is looked at
        bool given_next = false;                      // … and with it
        std::optional<contract::PayloadSkip> unseen;  // as in View, of all of them
    };
    struct Flow {
        state::CellIndex cell = 0;
        std::uint32_t first = kNone;                 // Following
        std::uint32_t newer = kNone, older = kNone;  // by the time of the last packet
        std::uint32_t last_s = 0;
        std::uint64_t packet = 0;  // that was put into order last
        bool found = false;
        bool blocked = false;
        bool young = false;     // when it was asked for first
        bool reopened = false;  // what the state knows of ACKs is of an earlier connection
        Side sides[2];
    };
    struct Head {
        std::uint32_t length = 0;  // free: the next one
        std::array<std::byte, kLongestHead> bytes;
    };
    // Memory of zeros whose pages come when they are touched.
    template <typename T>
    struct Zeroed {
        explicit Zeroed(std::size_t count);
        ~Zeroed();
        Zeroed(const Zeroed&) = delete;
        T& operator[](std::size_t i) { return data[i]; }
        T* data;
        std::size_t size;
    };
    // Places of an array that are given away and come back.
    template <typename T>
    struct Places {
        explicit Places(std::size_t count) : memory(count) {}
        std::uint32_t take(std::uint32_t T::*link);
        void give_back(std::uint32_t place, std::uint32_t T::*link);
        Zeroed<T> memory;
        std::uint32_t free = kNone;
        std::uint32_t fresh = 0;
    };

    std::uint32_t flow_of(state::CellIndex cell) const;
    std::uint32_t open_flow(state::CellIndex cell, std::uint32_t uptime_s);
    Finding look_alone(const Question& question);
    void close_flow(std::uint32_t flow);
    void touch(std::uint32_t flow, std::uint32_t uptime_s);
    void unlink(std::uint32_t flow);
    void link(std::uint32_t flow);
    bool compress_some();
    hs_stream* stream_of(View& view, const Object& object);
    void put_into_order(Flow& flow, const Question& question, Answer& answer);
    void begin_side(const Flow& flow, Side& side, const Question& question, Answer& answer);
    void begin_anew(Flow& flow, bool forward);
    std::size_t bytes_wanted(Flow& flow, bool forward);
    std::uint32_t following(Flow& flow, const Question& question, Answer& answer);
    void feed(Following& following, const Question& question, Answer& answer);
    void feed_stream(Following& following, View& view, const Object& object, Answer& answer);
    void feed_head(Following& following, View& view, const Object& object, Answer& answer);
    void look_at_start(Following& following, const Object& object, Transport transport,
                       std::span<const std::byte> bytes);
    void renew(Following& following, const Object& object);
    void close_view(View& view, const Following& following);
    const Object* object_of(const Following& following) const;
    void skip(std::optional<contract::PayloadSkip>& memory, contract::PayloadSkip why,
              Answer& answer);
    void note(Following& following, const Finding& finding);

    Spec spec_;
    std::span<const Object> objects_;
    Zeroed<std::uint32_t> flow_of_cell_;  // its place + 1; 0: none
    Places<Flow> flows_;
    Places<Following> followings_;
    Places<Head> heads_;
    std::uint32_t newest_ = kNone, oldest_ = kNone;
    std::uint32_t oldest_warm_ =
        kNone;  // no flow that is older has a stream that is not compressed
    TcpOrder order_;
    TcpOrder::Pieces pieces_;
    TcpOrder::Took took_ = TcpOrder::Took::old;
    PartScratch scratch_;
    std::uint64_t packet_ = 1;
    std::uint32_t now_s_ = 0;
};

}  // namespace sluice::payload
