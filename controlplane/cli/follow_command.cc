#include "controlplane/cli/follow_command.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "controlplane/cli/client.h"
#include "controlplane/cli/filter_words.h"
#include "controlplane/cli/output.h"
#include "controlplane/cli/pcapng.h"
#include "controlplane/language/words.h"

namespace sluice::cli {
namespace {

using contract::Fate;
using contract::PacketFilter;
using contract::WantedWay;
using language::quote;

using Kind = service::FollowOperation::Kind;

const char* usage_of(Kind kind) {
    switch (kind) {
        case Kind::log:
            return "; usage: ipfw tail [FILTER ...] [-c N] [--json]; FILTER is host ADDR[/LEN], "
                   "port "
                   "N, proto P, rule N, in|out, accept|deny";
        case Kind::packets:
            return "; usage: ipfw capture [FILTER ...] [-c N] [-s BYTES] -w FILE; FILTER is host "
                   "ADDR[/LEN], port N, proto P, rule N, in|out, accept|deny";
        case Kind::traces:
        case Kind::count_:
            break;
    }
    return "; usage: ipfw trace --live [FILTER ...] [-c N] [--json]; FILTER is host ADDR[/LEN], "
           "port "
           "N, proto P, rule N, in|out, accept|deny";
}

bool read_host(std::string_view text, PacketFilter& filter) {
    const std::optional<Network> network = read_network(text);
    if (!network)
        return false;
    filter.prefix_length = network->prefix_length;
    std::visit(
        [&](const auto& address) {
            filter.ip_version = sizeof address == sizeof(Ipv4) ? 4 : 6;
            std::memcpy(filter.address.bytes.data(), &address, sizeof address);
        },
        network->address);
    return true;
}

struct FilterWord {
    std::string_view word;
    std::string_view expected;
    bool (*read)(std::string_view, PacketFilter&);
};

constexpr FilterWord kFilters[] = {
    {"host", kExpectedNetwork, read_host},
    {"port", kExpectedPort,
     [](std::string_view text, PacketFilter& filter) {
         filter.port = read_port(text).value_or(0);
         return filter.port != 0;
     }},
    {"proto", kExpectedProtocol,
     [](std::string_view text, PacketFilter& filter) {
         const std::optional<std::uint8_t> protocol = read_protocol(text);
         filter.has_protocol = protocol ? 1 : 0;
         filter.protocol = protocol.value_or(0);
         return protocol.has_value();
     }},
    {"rule", kExpectedRule,
     [](std::string_view text, PacketFilter& filter) {
         return read_number(text, std::uint16_t{1}, filter.rule_number);
     }},
};

// Words that stand alone. False: it is none of them, or the other one was given.
bool read_single_word(std::string_view word, PacketFilter& filter) {
    const auto choose = [](auto& field, auto value) {
        const bool is_free = field == decltype(value){};
        field = value;
        return is_free;
    };
    if (word == "in" || word == "out")
        return choose(filter.way, word == "in" ? WantedWay::in : WantedWay::out);
    if (word == "accept" || word == "deny")
        return choose(filter.fate, word == "accept" ? Fate::accept : Fate::deny);
    return false;
}

void complain(const std::string& sentence) {
    Output output;
    output.complain(sentence);
    std::fwrite(output.err.data(), 1, output.err.size(), stderr);
}

ExitStatus fail(const Error& error) {
    complain(error.message);
    return error.status;
}

ExitStatus cannot_write(const std::string& file) {
    complain(file + ": " + std::strerror(errno));
    return ExitStatus::os;
}

// Where what comes is put.
class Receiver {
  public:
    explicit Receiver(const FollowCommand& command)
        : command_(command), writer_(command.operation.snap_length) {}
    Receiver(const Receiver&) = delete;
    ~Receiver() {
        if (file_ != nullptr && file_ != stdout)
            std::fclose(file_);
    }

    // False: `name` cannot be written.
    bool open() {
        if (command_.operation.kind != Kind::packets || command_.file == "-") {
            file_ = stdout;
            name_ = "standard output";
        } else {
            file_ = std::fopen(command_.file.c_str(), "we");
            name_ = command_.file;
        }
        return file_ != nullptr && (command_.operation.kind != Kind::packets ||
                                    (write(PcapngWriter::section()) && std::fflush(file_) == 0));
    }
    const std::string& name() const { return name_; }

    // False: it cannot be written.
    bool take(const service::StreamPiece& piece) {
        for (const std::string& line : piece.lines)
            if (!is_done() && !(++taken_, write(line + "\n")))
                return false;
        for (const service::CapturedPacket& packet : piece.packets)
            if (!is_done() && !(++taken_, write(writer_.packet(packet))))
                return false;
        return std::fflush(file_) == 0;
    }

    bool is_done() const { return command_.most != 0 && taken_ >= command_.most; }
    std::uint64_t taken() const { return taken_; }

  private:
    bool write(const std::string& bytes) {
        return std::fwrite(bytes.data(), 1, bytes.size(), file_) == bytes.size();
    }

    const FollowCommand& command_;
    PcapngWriter writer_;
    std::string name_;
    FILE* file_ = nullptr;
    std::uint64_t taken_ = 0;
};

ExitStatus follow(const FollowCommand& command, Following& following, Receiver& receiver) {
    const char* things = command.operation.kind == Kind::log ? " lines were" : " packets were";
    while (!receiver.is_done()) {
        const Result<std::optional<service::StreamPiece>> piece = following.next();
        if (!piece)
            return fail(piece.error());
        if (!*piece)  // interrupted
            break;
        if ((*piece)->lost != 0)
            complain(std::to_string((*piece)->lost) + things +
                     " lost: they came faster than they were taken");
        if (!receiver.take(**piece))
            return cannot_write(receiver.name());
        if (!(*piece)->over.empty())
            return fail({ExitStatus::unavailable, (*piece)->over});
    }
    if (command.operation.kind == Kind::packets)
        std::fprintf(stderr, "%llu packets captured\n",
                     static_cast<unsigned long long>(receiver.taken()));
    return ExitStatus::ok;
}

struct Value {
    std::string_view word;
    std::string_view expected;
    bool (*read)(const std::string&, FollowCommand&);
};

constexpr Value kValues[] = {
    {"-c", "a number from 1 on",
     [](const std::string& text, FollowCommand& command) {
         return read_number(text, std::uint64_t{1}, command.most);
     }},
    {"-s", "a number of bytes from 1 to 1920",
     [](const std::string& text, FollowCommand& command) {
         std::uint32_t& length = command.operation.snap_length;
         return read_number(text, std::uint32_t{1}, length) && length <= contract::kLongestCapture;
     }},
    {"-w", "the name of a file",
     [](const std::string& text, FollowCommand& command) {
         command.file = text;
         return !text.empty();
     }},
};
static_assert(contract::kLongestCapture == 1920);

bool is_for(std::string_view word, Kind kind) {
    return word == "-c" || kind == Kind::packets;
}

// Reads the words in turn; the first mistake ends it.
class WordReader {
  public:
    WordReader(std::span<const std::string> words, FollowCommand& command)
        : words_(words), command_(command), kind_(command.operation.kind) {}

    Result<Done> read() {
        for (; at_ < words_.size(); ++at_) {
            // As in `capture --rule 100`.
            const std::string_view word =
                words_[at_] == "--rule" ? std::string_view("rule") : words_[at_];
            if (std::find(seen_.begin(), seen_.end(), word) != seen_.end())
                return usage_error(quote(word) + " was already given");
            seen_.push_back(word);
            if (const Result<Done> read = read_word(word); !read)
                return read;
        }
        return Done{};
    }

  private:
    Error usage_error(const std::string& what) const {
        return {ExitStatus::usage, what + usage_of(kind_)};
    }

    Result<Done> read_word(std::string_view word) {
        if (word == "--live" && kind_ == Kind::traces)
            return Done{};
        if (word == "--json" && kind_ != Kind::packets) {
            command_.operation.form = service::FollowOperation::Form::json;
            return Done{};
        }
        for (const Value& value : kValues)
            if (value.word == word && is_for(word, kind_))
                return read_argument(word, value.expected, [&](const std::string& argument) {
                    return value.read(argument, command_);
                });
        for (const FilterWord& filter : kFilters)
            if (filter.word == word)
                return read_argument(word, filter.expected, [&](const std::string& argument) {
                    return filter.read(argument, command_.operation.filter);
                });
        if (!read_single_word(word, command_.operation.filter))
            return usage_error("unexpected word " + quote(word));
        return Done{};
    }

    template <typename Read>
    Result<Done> read_argument(std::string_view word, std::string_view expected, Read read) {
        if (++at_ == words_.size())
            return usage_error("missing argument of " + std::string(word) + "; expected " +
                               std::string(expected));
        if (!read(words_[at_]))
            return Error{ExitStatus::data, "bad argument " + quote(words_[at_]) + " of " +
                                               std::string(word) + "; expected " +
                                               std::string(expected)};
        return Done{};
    }

    std::span<const std::string> words_;
    FollowCommand& command_;
    Kind kind_;
    std::size_t at_ = 1;
    std::vector<std::string_view> seen_;
};

}  // namespace

bool is_follow_command(std::span<const std::string> arguments) {
    if (arguments.empty())
        return false;
    const std::string& first = arguments.front();
    return first == "tail" || first == "capture" ||
           (first == "trace" &&
            std::find(arguments.begin(), arguments.end(), "--live") != arguments.end());
}

Result<FollowCommand> parse_follow_command(std::span<const std::string> arguments) {
    FollowCommand command;
    const std::string& first = arguments.front();
    command.operation.kind = first == "tail"      ? Kind::log
                             : first == "capture" ? Kind::packets
                                                  : Kind::traces;
    if (const Result<Done> read = WordReader(arguments, command).read(); !read)
        return read.error();
    if (command.operation.kind == Kind::packets && command.file.empty())
        return Error{ExitStatus::usage,
                     std::string("-w is missing, which says where the packets go") +
                         usage_of(Kind::packets)};
    return command;
}

ExitStatus run_follow_command(std::span<const std::string> arguments) {
    const Result<FollowCommand> command = parse_follow_command(arguments);
    if (!command)
        return fail(command.error());
    service::Request request;
    request.operations.push_back({.line = 0, .forgive = false, .what = command->operation});
    Result<std::unique_ptr<Following>> following = Following::begin(control_socket_path(), request);
    if (!following)
        return fail(following.error());
    const service::Response& answer = (*following)->answer();
    if (answer.status != ExitStatus::ok)
        return fail({answer.status, answer.message});
    for (const service::OperationResult& result : answer.results)
        for (const std::string& complaint : result.complaints)
            complain(complaint);
    // Behind the answer: who may not capture does not lose a file that was there.
    Receiver receiver(*command);
    if (!receiver.open())
        return cannot_write(receiver.name());
    return follow(*command, **following, receiver);
}

}  // namespace sluice::cli
