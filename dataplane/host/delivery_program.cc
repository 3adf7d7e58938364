#include "dataplane/host/delivery_program.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <array>
#include <cstddef>
#include <cstring>

#include "dataplane/host/delivery_order.h"
#include "dataplane/packet/wire.h"

namespace sluice::host {

namespace {

namespace wire = packet::wire;

// Registers. R0 has what a call gives, R1 to R5 its arguments, which it destroys.
constexpr std::uint8_t R0 = 0, R1 = 1, R2 = 2, R3 = 3, R4 = 4, R5 = 5;
constexpr std::uint8_t kContext = 6, kSocket = 7, kTupleSize = 8, kResult = 8, kProtocol = 9,
                       kStack = 10;

enum class Label : std::uint8_t {
    ipv6,
    has_size,
    listener,
    udp,
    udp_listener,
    take_in,
    come_back,
    lose,
    untouched,
    count_
};

// Puts instructions one behind the other; jumps go forward, to labels that are placed later.
class Assembler {
  public:
    void load(std::uint8_t size, std::uint8_t to, std::uint8_t from, std::size_t offset) {
        put(BPF_LDX | BPF_MEM | size, to, from, static_cast<std::int16_t>(offset), 0);
    }
    void store_word(std::uint8_t to, std::size_t offset, std::uint8_t from) {
        put(BPF_STX | BPF_MEM | BPF_W, to, from, static_cast<std::int16_t>(offset), 0);
    }
    void move(std::uint8_t to, std::uint8_t from) { put(BPF_ALU64 | BPF_MOV | BPF_X, to, from); }
    void set(std::uint8_t to, std::int32_t value) {
        put(BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, value);
    }
    void add(std::uint8_t to, std::int32_t value) {
        put(BPF_ALU64 | BPF_ADD | BPF_K, to, 0, 0, value);
    }
    void call(std::int32_t helper) { put(BPF_JMP | BPF_CALL, 0, 0, 0, helper); }
    void end(std::int32_t result) {
        set(R0, result);
        put(BPF_JMP | BPF_EXIT, 0, 0);
    }
    void end() { put(BPF_JMP | BPF_EXIT, 0, 0); }

    void go(Label to) { jump(BPF_JMP | BPF_JA, 0, 0, to); }
    // Of the low 32 bits.
    void if_equal(std::uint8_t left, std::uint32_t right, Label to) {
        jump(BPF_JMP32 | BPF_JEQ | BPF_K, left, right, to);
    }
    void if_not_equal(std::uint8_t left, std::uint32_t right, Label to) {
        jump(BPF_JMP32 | BPF_JNE | BPF_K, left, right, to);
    }
    void if_null(std::uint8_t pointer, Label to) {
        jump(BPF_JMP | BPF_JEQ | BPF_K, pointer, 0, to);
    }
    void if_less(std::uint8_t left, std::uint32_t right, Label to) {
        jump(BPF_JMP | BPF_JLT | BPF_K, left, right, to);
    }
    void if_register_greater(std::uint8_t left, std::uint8_t right, Label to) {
        jump(BPF_JMP | BPF_JGT | BPF_X, left, 0, to);
        code_.back().src_reg = right & 0xf;
    }

    void place(Label label) { places_[static_cast<std::size_t>(label)] = code_.size(); }

    std::vector<bpf_insn> finish() {
        for (const Jump& jump : jumps_)
            code_[jump.at].off =
                static_cast<std::int16_t>(places_[static_cast<std::size_t>(jump.to)] - jump.at - 1);
        return std::move(code_);
    }

  private:
    struct Jump {
        std::size_t at = 0;
        Label to{};
    };

    void put(unsigned code, std::uint8_t to, std::uint8_t from, std::int16_t offset = 0,
             std::int32_t value = 0) {
        bpf_insn instruction{};
        instruction.code = static_cast<std::uint8_t>(code);
        instruction.dst_reg = to & 0xf;
        instruction.src_reg = from & 0xf;
        instruction.off = offset;
        instruction.imm = value;
        code_.push_back(instruction);
    }
    void jump(unsigned code, std::uint8_t left, std::uint32_t right, Label to) {
        jumps_.push_back({.at = code_.size(), .to = to});
        put(code, left, 0, 0, static_cast<std::int32_t>(right));
    }

    std::vector<bpf_insn> code_;
    std::vector<Jump> jumps_;
    std::array<std::size_t, static_cast<std::size_t>(Label::count_)> places_{};
};

// The order lies on the stack, whose end is a multiple of eight.
constexpr std::int32_t kOrder = -80;
static_assert(sizeof(DeliveryOrder) <= 80);

// R0 = the socket of one of the order's tuples, or null.
void look_up(Assembler& code, std::int32_t helper, std::size_t tuple) {
    code.move(R1, kContext);
    code.move(R2, kStack);
    code.add(R2, kOrder + static_cast<std::int32_t>(tuple));
    code.move(R3, kTupleSize);
    code.set(R4, BPF_F_CURRENT_NETNS);
    code.set(R5, 0);
    code.call(helper);
}

// R6 = the frame, if it carries an order.
void recognise(Assembler& code) {
    std::uint32_t first;
    std::uint16_t last;
    std::memcpy(&first, kToSocket.bytes.data(), sizeof first);
    std::memcpy(&last, kToSocket.bytes.data() + sizeof first, sizeof last);
    code.move(kContext, R1);
    code.load(BPF_W, R2, kContext, offsetof(__sk_buff, data));
    code.load(BPF_W, R3, kContext, offsetof(__sk_buff, data_end));
    code.move(R4, R2);
    code.add(R4, sizeof(wire::Ethernet));
    code.if_register_greater(R4, R3, Label::untouched);
    code.load(BPF_W, R4, R2, 0);
    code.if_not_equal(R4, first, Label::untouched);
    code.load(BPF_H, R4, R2, sizeof first);
    code.if_not_equal(R4, last, Label::untouched);
}

// The order comes to the stack, R8 = size of its tuples, R9 = protocol.
void read_order(Assembler& code) {
    code.load(BPF_W, R2, kContext, offsetof(__sk_buff, len));
    code.if_less(R2, sizeof(wire::Ethernet) + sizeof(DeliveryOrder), Label::lose);
    code.add(R2, -static_cast<std::int32_t>(sizeof(DeliveryOrder)));
    code.move(R1, kContext);
    code.move(R3, kStack);
    code.add(R3, kOrder);
    code.set(R4, sizeof(DeliveryOrder));
    code.call(BPF_FUNC_skb_load_bytes);
    code.if_not_equal(R0, 0, Label::lose);
    code.load(BPF_B, kProtocol, kStack,
              static_cast<std::size_t>(kOrder) + offsetof(DeliveryOrder, protocol));
    code.load(BPF_W, R2, kContext, offsetof(__sk_buff, protocol));
    code.if_equal(R2, htons(wire::kEtherTypeIpv6), Label::ipv6);
    code.if_not_equal(R2, htons(wire::kEtherTypeIpv4), Label::lose);
    code.set(kTupleSize, SocketTuple::kSize4);
    code.go(Label::has_size);
    code.place(Label::ipv6);
    code.set(kTupleSize, SocketTuple::kSize6);
    code.place(Label::has_size);
}

// R7 = the state of the socket that has the packet's own addresses and ports. There may be none.
void look_up_own(Assembler& code, std::int32_t helper, Label none) {
    look_up(code, helper, offsetof(DeliveryOrder, own));
    code.if_null(R0, none);
    code.load(BPF_W, kSocket, R0, offsetof(bpf_sock, state));
    code.move(R1, R0);
    code.call(BPF_FUNC_sk_release);
}

// The packet goes to who listens as the order says.
void assign_listener(Assembler& code, std::int32_t helper) {
    look_up(code, helper, offsetof(DeliveryOrder, listener));
    code.if_null(R0, Label::come_back);
    code.move(kSocket, R0);
    code.move(R1, kContext);
    code.move(R2, kSocket);
    code.set(R3, 0);
    code.call(BPF_FUNC_sk_assign);
    code.move(kResult, R0);
    code.move(R1, kSocket);
    code.call(BPF_FUNC_sk_release);
    code.if_not_equal(kResult, 0, Label::lose);
}

// Who has the connection already keeps it: the kernel finds that socket by itself.
void find_socket(Assembler& code) {
    code.if_equal(kProtocol, wire::protocol::udp, Label::udp);
    code.if_not_equal(kProtocol, wire::protocol::tcp, Label::take_in);
    look_up_own(code, BPF_FUNC_skc_lookup_tcp, Label::listener);
    code.if_not_equal(kSocket, TCP_LISTEN, Label::take_in);
    code.place(Label::listener);
    assign_listener(code, BPF_FUNC_skc_lookup_tcp);
    code.go(Label::take_in);
    code.place(Label::udp);
    look_up_own(code, BPF_FUNC_sk_lookup_udp, Label::udp_listener);
    // The state of a UDP socket that is connected.
    code.if_equal(kSocket, TCP_ESTABLISHED, Label::take_in);
    code.place(Label::udp_listener);
    assign_listener(code, BPF_FUNC_sk_lookup_udp);
}

}  // namespace

std::vector<bpf_insn> delivery_program(std::uint32_t mark) {
    Assembler code;
    recognise(code);
    read_order(code);
    find_socket(code);
    code.place(Label::take_in);
    code.set(R1, static_cast<std::int32_t>(mark));
    code.store_word(kContext, offsetof(__sk_buff, mark), R1);
    code.move(R1, kContext);
    code.set(R2, PACKET_HOST);
    code.call(BPF_FUNC_skb_change_type);
    code.end(TC_ACT_OK);
    code.place(Label::come_back);
    code.load(BPF_W, R1, kContext, offsetof(__sk_buff, ifindex));
    code.set(R2, 0);
    code.call(BPF_FUNC_redirect);
    code.end();
    code.place(Label::lose);
    code.end(TC_ACT_SHOT);
    code.place(Label::untouched);
    code.end(TC_ACT_UNSPEC);
    return code.finish();
}

}  // namespace sluice::host
