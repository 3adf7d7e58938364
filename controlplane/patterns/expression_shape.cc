#include "controlplane/patterns/expression_shape.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace sluice::patterns {
namespace {

constexpr unsigned kDeepest = 100;  // groups in groups; what is deeper demands nothing
constexpr std::size_t kUnbounded = static_cast<std::size_t>(-1);
constexpr std::size_t kLongestRun = 256;

struct Repeat {
    std::size_t least = 1;
    std::size_t most = 1;
};

// Literals, as in ExpressionShape.
struct Demand {
    std::string least;
    std::string certain;

    void take_longer(const std::string& other_least, const std::string& other_certain) {
        if (other_least.size() > least.size())
            least = other_least;
        if (other_certain.size() > certain.size())
            certain = other_certain;
    }
};

// One thing that a repeat could stand behind.
struct Atom {
    std::string literal;  // what it demands, as the least of its alternatives
    std::string certain;
    bool is_byte = false;   // it is one byte, `literal`
    bool is_place = false;  // it takes no bytes
};

Atom byte(char value) {
    Atom atom;
    atom.literal = atom.certain = std::string(1, value);
    atom.is_byte = true;
    return atom;
}

Atom place() {
    Atom atom;
    atom.is_place = true;
    return atom;
}

class Reader {
  public:
    explicit Reader(std::string_view text) : text_(text) {}

    ExpressionShape read() {
        Demand demand = alternatives(0);
        shape_.literal = std::move(demand.least);
        shape_.certain = std::move(demand.certain);
        // Brackets without another, or something that is read in another way.
        if (at_ != text_.size() || extended_)
            shape_.literal = shape_.certain = {};
        return shape_;
    }

  private:
    bool ended() const { return at_ >= text_.size(); }
    bool next_is(std::string_view what) const {
        return !ended() && text_.substr(at_).starts_with(what);
    }

    Demand alternatives(unsigned depth) {
        Demand demand = sequence(depth);
        while (!ended() && text_[at_] == '|') {
            ++at_;
            Demand other = sequence(depth);
            demand.certain.clear();
            if (other.least.size() < demand.least.size())
                demand.least = std::move(other.least);
        }
        return demand;
    }

    Demand sequence(unsigned depth) {
        Demand best;
        std::string run;
        const auto end_run = [&] {
            best.take_longer(run, run);
            run.clear();
        };
        while (!ended() && text_[at_] != '|' && text_[at_] != ')') {
            const Atom atom = next_atom(depth);
            const Repeat repeat = next_repeat();
            if (atom.is_place)
                continue;
            if (!atom.is_byte) {
                end_run();
                if (repeat.most != kUnbounded || repeat.least > 1)
                    shape_.largest_repeat =
                        std::max(shape_.largest_repeat,
                                 repeat.most == kUnbounded ? repeat.least : repeat.most);
                if (repeat.least > 0)
                    best.take_longer(atom.literal, atom.certain);
                continue;
            }
            if (repeat.least > 0)
                run.append(std::min(repeat.least, kLongestRun), atom.literal[0]);
            if (repeat.least != repeat.most)
                end_run();
        }
        end_run();
        return best;
    }

    Atom next_atom(unsigned depth) {
        const char c = text_[at_++];
        switch (c) {
            case '(':
                return group(depth);
            case '[':
                return set();
            case '.':
                return {};
            case '^':
                shape_.begins = true;
                return place();
            case '$':
                shape_.ends = true;
                return place();
            case '\\':
                return escape();
            default:
                return byte(c);
        }
    }

    Atom group(unsigned depth) {
        bool demands = true;
        if (next_is("?")) {
            ++at_;
            const bool named =
                next_is("P<") || next_is("'") || (next_is("<") && !next_is("<=") && !next_is("<!"));
            const std::size_t kind = text_.find_first_not_of("imsxUJ-^", at_);
            const char what = kind < text_.size() ? text_[kind] : '#';
            if (!named && kind < text_.size())
                note_flags(text_.substr(at_, kind - at_));
            // Flags for what follows, comments.
            if (!named && (what == ')' || what == '#')) {
                at_ = std::min(text_.find(')', at_), text_.size() - 1) + 1;
                return place();
            }
            demands = named || what == ':' || what == '>' || what == '|';
            at_ = named ? text_.find_first_of(">'", at_ + 1) : kind;
            at_ = std::min(at_, text_.size() - 1) + 1;
        }
        if (depth == kDeepest) {
            at_ = text_.size() + 1;
            return {};
        }
        Demand demand = alternatives(depth + 1);
        Atom atom;
        if (demands) {
            atom.literal = std::move(demand.least);
            atom.certain = std::move(demand.certain);
        }
        ++at_;  // the bracket
        return atom;
    }

    void note_flags(std::string_view flags) {
        flags = flags.substr(0, flags.find('-'));
        shape_.any_case |= flags.find('i') != std::string_view::npos;
        // Blanks and remarks are no bytes any more.
        extended_ |= flags.find('x') != std::string_view::npos;
    }

    // Of sets only those of one byte demand anything; none does.
    Atom set() {
        if (next_is("^"))
            ++at_;
        if (next_is("]"))
            ++at_;
        while (!ended() && text_[at_] != ']') {
            if (next_is("[:")) {
                const std::size_t end = text_.find(":]", at_ + 2);
                at_ = end == std::string_view::npos ? at_ + 1 : end + 2;
            } else {
                at_ += text_[at_] == '\\' ? 2 : 1;
            }
        }
        ++at_;
        return {};
    }

    Atom escape() {
        if (ended())
            return {};
        const char c = text_[at_++];
        switch (c) {
            case 'n':
                return byte('\n');
            case 'r':
                return byte('\r');
            case 't':
                return byte('\t');
            case 'f':
                return byte('\f');
            case 'a':
                return byte('\a');
            case 'e':
                return byte('\x1b');
            case 'x':
                return hex();
            case 'A':
                shape_.begins = true;
                return place();
            case 'z':
            case 'Z':
                shape_.ends = true;
                return place();
            case 'b':
            case 'B':
                return place();
            case 'Q':
                return quoted();
            default:
                break;
        }
        const bool letter =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        return letter ? Atom{} : byte(c);
    }

    Atom hex() {
        unsigned value = 0;
        const bool braces = next_is("{");
        const std::string_view digits =
            text_.substr(std::min(at_ + (braces ? 1 : 0), text_.size()));
        const std::size_t most = braces ? digits.size() : std::min<std::size_t>(2, digits.size());
        const auto read = std::from_chars(digits.data(), digits.data() + most, value, 16);
        at_ = static_cast<std::size_t>(read.ptr - text_.data()) + (braces ? 1 : 0);
        if (value > 0xff)
            return {};
        return byte(static_cast<char>(value));
    }

    // A repeat behind it would be of its last byte.
    Atom quoted() {
        const std::size_t end = std::min(text_.find("\\E", at_), text_.size());
        Atom atom;
        atom.literal = text_.substr(at_, end - at_);
        at_ = std::min(end + 2, text_.size());
        if (!atom.literal.empty())
            atom.literal.pop_back();
        atom.certain = atom.literal;
        return atom;
    }

    Repeat next_repeat() {
        Repeat repeat;
        if (next_is("*"))
            repeat = {.least = 0, .most = kUnbounded};
        else if (next_is("+"))
            repeat = {.least = 1, .most = kUnbounded};
        else if (next_is("?"))
            repeat = {.least = 0, .most = 1};
        else if (const auto counted = counted_repeat())
            repeat = *counted;
        else
            return repeat;
        ++at_;
        if (next_is("?") || next_is("+"))
            ++at_;  // lazy, possessive
        return repeat;
    }

    // {n} {n,} {n,m}, up to the closing brace; another brace is a byte.
    std::optional<Repeat> counted_repeat() {
        if (!next_is("{"))
            return std::nullopt;
        const std::size_t end = text_.find('}', at_);
        if (end == std::string_view::npos)
            return std::nullopt;
        Repeat repeat;
        const char* last = text_.data() + end;
        auto read = std::from_chars(text_.data() + at_ + 1, last, repeat.least);
        if (read.ec != std::errc())
            return std::nullopt;
        repeat.most = repeat.least;
        if (read.ptr != last) {
            if (*read.ptr != ',')
                return std::nullopt;
            repeat.most = kUnbounded;
            if (read.ptr + 1 != last) {
                read = std::from_chars(read.ptr + 1, last, repeat.most);
                if (read.ec != std::errc() || read.ptr != last)
                    return std::nullopt;
            }
        }
        at_ = end;
        return repeat;
    }

    std::string_view text_;
    std::size_t at_ = 0;
    ExpressionShape shape_;
    bool extended_ = false;  // (?x) somewhere
};

}  // namespace

ExpressionShape shape_of(std::string_view expression) {
    return Reader(expression).read();
}

}  // namespace sluice::patterns
