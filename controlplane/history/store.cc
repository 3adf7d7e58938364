#include "controlplane/history/store.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "controlplane/history/file_format.h"

namespace sluice::history {
namespace {

constexpr std::string_view kEnding = ".rules", kUnfinished = ".new", kBad = ".bad";
constexpr std::size_t kMostBad = 10;

std::string name_of(std::uint64_t number) {
    char text[40];
    std::snprintf(text, sizeof text, "%08llu", static_cast<unsigned long long>(number));
    return text + std::string(kEnding);
}

// 0: it is no name of ours.
std::uint64_t number_in(std::string_view name) {
    constexpr std::size_t kDigits = 18;
    std::uint64_t number = 0;
    std::size_t digits = 0;
    for (; digits < name.size() && name[digits] >= '0' && name[digits] <= '9'; ++digits)
        if (digits < kDigits)
            number = number * 10 + static_cast<std::uint64_t>(name[digits] - '0');
    return digits <= kDigits && name.substr(digits).starts_with(kEnding) ? number : 0;
}

}  // namespace

Result<Done> carry_out(Folder& folder, const Write& write) {
    const std::string name = name_of(write.entry.number),
                      unfinished = name + std::string(kUnfinished);
    const auto attempt = [&]() -> Result<Done> {
        Result<std::unique_ptr<File>> file = folder.create(unfinished);
        if (!file)
            return file.error();
        const std::string header = header_of(write.entry, write.text);
        for (const std::string_view part : {std::string_view(header), std::string_view(write.text)})
            if (Result<Done> done = (*file)->write(part); !done)
                return done;
        if (Result<Done> done = (*file)->synchronize(); !done)
            return done;
        if (Result<Done> done = folder.rename(unfinished, name); !done)
            return done;
        return folder.synchronize();
    };
    Result<Done> done = attempt();
    if (!done) {
        // What it holds is of no use, and takes room.
        static_cast<void>(folder.remove(unfinished));
        return done;
    }
    for (const std::string& old : write.superseded)
        static_cast<void>(folder.remove(old));
    return done;
}

Store::Store(Folder& folder, Report report) : folder_(folder), report_(std::move(report)) {
    Result<std::vector<std::string>> names = folder_.names();
    if (!names) {
        report_(names.error().message + ": there is no history");
        return;
    }
    std::sort(names->begin(), names->end());
    std::vector<std::string> bad;
    for (const std::string& name : *names) {
        const std::uint64_t number = number_in(name);
        if (number == 0)
            continue;
        last_number_ = std::max(last_number_, number);
        if (name == name_of(number))
            look_at(name);
        else if (name.ends_with(kUnfinished))
            static_cast<void>(folder_.remove(name));
        else if (name.ends_with(kBad))
            bad.push_back(name);
    }
    for (std::size_t i = 0; i + kMostBad < bad.size(); ++i)
        static_cast<void>(folder_.remove(bad[i]));
}

void Store::look_at(const std::string& name) {
    const Result<std::string> start = folder_.read(name, kMaximumHeader);
    const Result<std::size_t> size = folder_.size(name);
    if (!start || !size)
        return report_((start ? size.error() : start.error()).message);
    const Result<Header> header = read_header(*start);
    if (!header)
        return set_aside(name, header.error().message);
    if (name_of(header->entry.number) != name)
        return set_aside(name, "it is number " + std::to_string(header->entry.number));
    if (*size != header->size + header->text_size)
        return set_aside(name, "it is shorter or longer than its header says");
    known_[header->entry.number] = {header->entry, *size};
}

void Store::set_aside(const std::string& name, const std::string& why) {
    const std::string bad = name + std::string(kBad);
    const Result<Done> renamed = folder_.rename(name, bad);
    report_(folder_.path() + "/" + name + " is damaged: " + why +
            (renamed ? ". It is " + bad + " now, and the one before it counts"
                     : "; " + renamed.error().message));
}

std::vector<Entry> Store::entries() const {
    std::vector<Entry> result;
    for (const auto& [number, known] : known_)
        result.push_back(known.entry);
    return result;
}

std::optional<Entry> Store::newest() const {
    return known_.empty() ? std::nullopt : std::optional(known_.rbegin()->second.entry);
}

const Entry* Store::find(std::uint64_t number) const {
    const auto found = known_.find(number);
    return found == known_.end() ? nullptr : &found->second.entry;
}

Result<Stored> Store::read(std::uint64_t number) {
    if (!known_.contains(number))
        return Error{ExitStatus::unavailable,
                     "there is no ruleset " + std::to_string(number) +
                         " in the history; `ipfw history` lists those that there are"};
    const std::string name = name_of(number);
    const Result<std::string> bytes = folder_.read(name, kMaximumHeader + kMaximumText);
    if (!bytes)
        return bytes.error();
    const Result<Header> header = read_header(std::string_view(*bytes).substr(0, kMaximumHeader));
    const std::string_view text =
        header ? std::string_view(*bytes).substr(header->size) : std::string_view();
    const char* wrong = header ? wrong_with(*header, text) : header.error().message.c_str();
    if (wrong == nullptr && header->entry.number != number)
        wrong = "it has the number of another one";
    if (wrong == nullptr)
        return Stored{header->entry, std::string(text)};
    known_.erase(number);
    set_aside(name, wrong);
    return Error{ExitStatus::data,
                 "ruleset " + std::to_string(number) + " of the history is damaged: " + wrong};
}

std::optional<Stored> Store::newest_below(std::uint64_t number) {
    for (;;) {
        const auto above = known_.lower_bound(number);
        if (above == known_.begin())
            return std::nullopt;
        number = std::prev(above)->first;
        if (Result<Stored> stored = read(number))
            return std::move(*stored);
        else if (known_.contains(number))  // a file that cannot be read is no reason to lose it
            report_(stored.error().message);
    }
}

Write Store::plan(Entry entry, std::string text) const {
    std::size_t files = 1, bytes = kMaximumHeader + text.size();
    Write write{std::move(entry), std::move(text)};
    for (auto at = known_.rbegin(); at != known_.rend(); ++at) {
        if (at->first == write.entry.number)
            continue;
        bytes += at->second.bytes;
        // The one before the newest stays, whatever it takes.
        if (++files > kMost || (bytes > kMostBytes && files > 2))
            write.superseded.push_back(name_of(at->first));
    }
    return write;
}

void Store::written(const Write& write) {
    for (const std::string& name : write.superseded)
        known_.erase(number_in(name));
    known_[write.entry.number] = {write.entry, kMaximumHeader + write.text.size()};
    last_number_ = std::max(last_number_, write.entry.number);
}

}  // namespace sluice::history
