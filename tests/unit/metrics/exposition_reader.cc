#include "tests/unit/metrics/exposition_reader.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <set>

namespace sluice::metrics {
namespace {

bool is_name(std::string_view name, std::string_view also) {
    if (name.empty() || (name.front() >= '0' && name.front() <= '9'))
        return false;
    return std::all_of(name.begin(), name.end(), [&](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
               also.find(c) != also.npos;
    });
}

std::optional<double> read_number(std::string_view text) {
    if (text == "+Inf")
        return std::numeric_limits<double>::infinity();
    double value = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failure != std::errc() || end != text.data() + text.size())
        return std::nullopt;
    return value;
}

bool ends_with_any(std::string_view name, std::initializer_list<std::string_view> endings) {
    return std::any_of(endings.begin(), endings.end(),
                       [&](std::string_view ending) { return name.ends_with(ending); });
}

// Takes one line apart, from its front.
class Line {
  public:
    explicit Line(std::string_view text) : text_(text) {}

    std::string_view until(std::string_view stops) {
        const std::size_t end = std::min(text_.find_first_of(stops), text_.size());
        const std::string_view word = text_.substr(0, end);
        text_.remove_prefix(end);
        return word;
    }
    bool take(std::string_view word) {
        if (!text_.starts_with(word))
            return false;
        text_.remove_prefix(word.size());
        return true;
    }
    // A value in quotes, with \\, \" and \n in it.
    std::optional<std::string> quoted() {
        if (!take("\""))
            return std::nullopt;
        std::string value;
        while (!text_.empty()) {
            if (take("\""))
                return value;
            if (take("\\n"))
                value += '\n';
            else if (take("\\\\"))
                value += '\\';
            else if (take("\\\""))
                value += '"';
            else if (text_.front() == '\\')
                return std::nullopt;
            else {
                value += text_.front();
                text_.remove_prefix(1);
            }
        }
        return std::nullopt;
    }
    std::string_view rest() const { return text_; }

  private:
    std::string_view text_;
};

std::optional<Sample> read_sample(std::string_view text) {
    Line line(text);
    Sample sample;
    sample.name = line.until("{ ");
    if (!is_name(sample.name, ":"))
        return std::nullopt;
    if (line.take("{")) {
        do {
            const std::string label(line.until("="));
            if (!is_name(label, "") || label.starts_with("__") || !line.take("="))
                return std::nullopt;
            const auto value = line.quoted();
            if (!value || !sample.labels.emplace(label, *value).second)
                return std::nullopt;
        } while (line.take(","));
        if (!line.take("}"))
            return std::nullopt;
    }
    if (!line.take(" "))
        return std::nullopt;
    const auto number = read_number(line.rest());
    if (!number)
        return std::nullopt;
    sample.value = *number;
    return sample;
}

class Reader {
  public:
    Exposition read(std::string_view text) {
        if (!text.empty() && text.back() != '\n')
            complain("the last line has no end", text);
        while (!text.empty()) {
            const std::size_t end = std::min(text.find('\n'), text.size() - 1);
            read_line(text.substr(0, end));
            text.remove_prefix(end + 1);
        }
        finish_family();
        return std::move(result_);
    }

  private:
    void complain(const std::string& what, std::string_view where) {
        result_.complaints.push_back(what + ": " + std::string(where.substr(0, 200)));
    }

    void read_line(std::string_view text) {
        Line line(text);
        if (line.take("# HELP ")) {
            finish_family();
            family_ = line.until(" ");
            if (!is_name(family_, ":") || !line.take(" ") || line.rest().empty())
                complain("a family without name or help", text);
            if (!families_.insert(family_).second)
                complain("a family that is there twice", text);
        } else if (line.take("# TYPE ")) {
            const std::string name(line.until(" "));
            if (name != family_ || !line.take(" "))
                complain("a type without its help", text);
            check_type(std::string(line.rest()), text);
        } else {
            check_sample(text);
        }
    }

    void check_type(const std::string& type, std::string_view line) {
        if (type != "counter" && type != "gauge" && type != "histogram")
            complain("an unknown type", line);
        if (!result_.types.emplace(family_, type).second)
            complain("a family of two types", line);
        if (type == "counter" && !family_.ends_with("_total"))
            complain("a counter whose name does not end in _total", line);
        if (type != "counter" && family_.ends_with("_total"))
            complain("no counter, and its name ends in _total", line);
        if (ends_with_any(family_, {"_count", "_sum", "_bucket"}))
            complain("a name that histograms keep for themselves", line);
        if (ends_with_any(family_, {"_ms", "_milliseconds", "_us", "_kb", "_mb", "_minutes"}))
            complain("not a base unit", line);
    }

    void check_sample(std::string_view text) {
        const auto sample = read_sample(text);
        if (!sample)
            return complain("not a sample", text);
        const auto type = result_.types.find(family_);
        if (type == result_.types.end())
            return complain("a sample without its type", text);
        ++samples_;
        const bool histogram = type->second == "histogram";
        const std::string_view tail =
            std::string_view(sample->name).substr(std::min(family_.size(), sample->name.size()));
        const bool of_family =
            sample->name.starts_with(family_) &&
            (histogram ? tail == "_bucket" || tail == "_sum" || tail == "_count" : tail.empty());
        if (!of_family)
            complain("a sample of another family", text);
        if (std::isnan(sample->value) || (type->second == "counter" && sample->value < 0))
            complain("a value that cannot be", text);
        if (!series_.insert({sample->name, sample->labels}).second)
            complain("a series that is there twice", text);
        if (histogram)
            check_histogram(*sample, tail, text);
        result_.samples.push_back(*sample);
    }

    void check_histogram(const Sample& sample, std::string_view tail, std::string_view text) {
        if (tail == "_bucket") {
            const auto bound = sample.labels.find("le");
            const auto le =
                bound == sample.labels.end() ? std::nullopt : read_number(bound->second);
            if (!le || *le <= bound_ || sample.value < in_bucket_)
                complain("a bucket out of order", text);
            bound_ = le.value_or(0);
            in_bucket_ = sample.value;
        } else if (tail == "_count") {
            count_ = sample.value;
        }
    }

    void finish_family() {
        if (family_.empty())
            return;
        if (samples_ == 0)
            complain("a family without samples", family_);
        if (result_.types[family_] == "histogram" && (!std::isinf(bound_) || count_ != in_bucket_))
            complain("a histogram whose last bucket is not all of it", family_);
        family_.clear();
        samples_ = 0;
        bound_ = -std::numeric_limits<double>::infinity();
        in_bucket_ = count_ = 0;
    }

    Exposition result_;
    std::string family_;
    std::set<std::string> families_;
    std::set<std::pair<std::string, std::map<std::string, std::string>>> series_;
    std::size_t samples_ = 0;
    double bound_ = -std::numeric_limits<double>::infinity();
    double in_bucket_ = 0, count_ = 0;
};

}  // namespace

double Exposition::value(const std::string& name,
                         const std::map<std::string, std::string>& labels) const {
    for (const Sample& sample : samples)
        if (sample.name == name && sample.labels == labels)
            return sample.value;
    return std::nan("");
}

std::vector<Sample> Exposition::all(const std::string& name) const {
    std::vector<Sample> found;
    for (const Sample& sample : samples)
        if (sample.name == name)
            found.push_back(sample);
    return found;
}

Exposition read_exposition(std::string_view text) {
    return Reader().read(text);
}

}  // namespace sluice::metrics
