#include "controlplane/patterns/corpus.h"

#include <span>
#include <string_view>

namespace sluice::patterns {
namespace {

// SplitMix64.
class Random {
  public:
    explicit Random(std::uint64_t seed) : state_(seed) {}

    std::uint64_t next() {
        state_ += 0x9e3779b97f4a7c15u;
        std::uint64_t z = state_;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
    }
    std::size_t below(std::size_t n) { return next() % n; }
    bool one_in(std::size_t n) { return below(n) == 0; }
    const char* pick(std::span<const char* const> from) { return from[below(from.size())]; }

  private:
    std::uint64_t state_;
};

constexpr const char* kWords[] = {
    "about",    "account",  "address",     "after",    "again",   "also",    "answer",
    "area",     "article",  "available",   "back",     "basket",  "before",  "between",
    "book",     "button",   "call",        "category", "change",  "child",   "city",
    "close",    "color",    "comment",     "company",  "contact", "content", "country",
    "course",   "cover",    "data",        "date",     "detail",  "device",  "different",
    "document", "door",     "download",    "each",     "early",   "edit",    "email",
    "end",      "error",    "event",       "every",    "example", "family",  "field",
    "file",     "find",     "first",       "follow",   "footer",  "form",    "forum",
    "free",     "from",     "garden",      "general",  "great",   "group",   "guide",
    "have",     "header",   "help",        "history",  "home",    "hour",    "house",
    "image",    "index",    "information", "inside",   "item",    "join",    "know",
    "label",    "language", "large",       "last",     "learn",   "library", "light",
    "link",     "list",     "local",       "login",    "long",    "main",    "make",
    "market",   "member",   "menu",        "message",  "minute",  "mobile",  "money",
    "month",    "more",     "most",        "mountain", "music",   "name",    "news",
    "next",     "night",    "note",        "number",   "offer",   "office",  "online",
    "open",     "option",   "order",       "other",    "page",    "paper",   "parent",
    "part",     "people",   "photo",       "picture",  "place",   "play",    "point",
    "policy",   "popular",  "price",       "privacy",  "product", "profile", "public",
    "question", "quick",    "read",        "recent",   "report",  "request", "result",
    "review",   "river",    "road",        "room",     "sale",    "school",  "script",
    "search",   "section",  "service",     "session",  "setting", "share",   "shop",
    "side",     "simple",   "site",        "small",    "social",  "some",    "sport",
    "start",    "status",   "store",       "story",    "street",  "style",   "summer",
    "support",  "table",    "team",        "text",     "thank",   "theme",   "there",
    "this",     "ticket",   "time",        "title",    "today",   "token",   "topic",
    "town",     "travel",   "under",       "update",   "upload",  "user",    "value",
    "version",  "video",    "view",        "visit",    "water",   "weather", "week",
    "welcome",  "where",    "which",       "widget",   "window",  "winter",  "with",
    "word",     "work",     "world",       "write",    "year"};
constexpr const char* kTop[] = {"example", "test", "example.net", "example.org", "invalid"};
constexpr const char* kMethods[] = {"GET", "GET", "GET", "GET", "POST", "HEAD", "PUT"};
constexpr const char* kEndings[] = {"", "/", ".html", ".js", ".css", ".png", ".json", ".php"};
constexpr const char* kKinds[] = {"text/html; charset=utf-8", "application/json",
                                  "application/javascript", "text/css", "image/png"};
constexpr const char* kAgents[] = {
    "Mozilla/5.0 (X11; Linux x86_64; rv:115.0) Gecko/20100101 Firefox/115.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/119.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
    "Gecko) Version/17.1 Mobile/15E148 Safari/604.1",
    "curl/7.88.1"};
constexpr const char* kStates[] = {"200 OK",           "200 OK",    "200 OK",
                                   "304 Not Modified", "302 Found", "404 Not Found"};
constexpr const char* kTags[] = {"div", "p", "span", "li", "a", "h2", "td", "section"};

class Writer {
  public:
    Writer(std::size_t bytes, std::uint64_t seed) : random_(seed), enough_(bytes) {
        text_.reserve(bytes + 8192);
    }

    std::string write() {
        while (text_.size() < enough_) {
            request();
            answer();
        }
        text_.resize(enough_);
        return std::move(text_);
    }

  private:
    const char* word() { return random_.pick(kWords); }
    std::string number(std::size_t below) { return std::to_string(random_.below(below)); }

    void line(std::string_view name, std::string_view value) {
        text_.append(name).append(": ").append(value).append("\r\n");
    }

    void scatter(std::size_t count, std::string_view alphabet) {
        for (; count > 0; --count)
            text_ += alphabet[random_.below(alphabet.size())];
    }

    std::string host() { return std::string(word()) + "." + word() + "." + random_.pick(kTop); }

    std::string path() {
        std::string path;
        for (std::size_t left = 1 + random_.below(4); left > 0; --left)
            path += std::string("/") + word() + (random_.one_in(4) ? "-" + number(10000) : "");
        path += random_.pick(kEndings);
        for (std::size_t i = random_.below(4); i > 0; --i)
            path += std::string(path.find('?') == path.npos ? "?" : "&") + word() + "=" +
                    (random_.one_in(2) ? std::string(word()) : number(1000000));
        return path;
    }

    void cookie() {
        text_ += "Cookie: session=";
        scatter(32, "0123456789abcdef");
        text_ += std::string("; ") + word() + "=" + number(100) + "; _token=";
        scatter(43, kBase64);
        text_ += "\r\n";
    }

    void request() {
        const std::string method = random_.pick(kMethods);
        text_ += method + " " + path() + " HTTP/1.1\r\n";
        line("Host", host());
        line("User-Agent", random_.pick(kAgents));
        line("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");
        line("Accept-Language", random_.one_in(2) ? "en-US,en;q=0.5" : "de,en;q=0.7");
        line("Accept-Encoding", "gzip, deflate, br");
        if (!random_.one_in(3))
            line("Referer", "http://" + host() + path());
        line("Connection", "keep-alive");
        if (random_.one_in(2))
            cookie();
        if (method == "POST" || method == "PUT") {
            line("Content-Type", "application/x-www-form-urlencoded");
            text_ += "\r\n";
            for (std::size_t i = 2 + random_.below(8); i > 0; --i)
                text_ += std::string(word()) + "=" + word() + "+" + word() + "&";
        }
        text_ += "\r\n";
    }

    void answer() {
        text_ += std::string("HTTP/1.1 ") + random_.pick(kStates) + "\r\n";
        const std::string kind = random_.pick(kKinds);
        line("Date", "Fri, 27 Nov 2026 1" + number(10) + ":2" + number(10) + ":00 GMT");
        line("Server", random_.one_in(2) ? "nginx" : "Apache/2.4.57 (Debian)");
        line("Content-Type", kind);
        line("Content-Length", number(100000));
        line("Cache-Control", "max-age=" + number(86400));
        text_ += "ETag: \"";
        scatter(16, "0123456789abcdef");
        text_ += "\"\r\n\r\n";
        for (std::size_t pieces = random_.below(30); pieces > 0; --pieces)
            kind == "image/png"          ? picture()
            : kind == "application/json" ? object()
            : kind.starts_with("text/h") ? element()
                                         : statement();
    }

    void words(std::size_t count) {
        for (; count > 0; --count)
            text_ += std::string(word()) + (count == 1 ? "" : random_.one_in(9) ? ", " : " ");
    }
    void element() {
        const std::string tag = random_.pick(kTags);
        text_ += "<" + tag + " class=\"" + word() + "-" + word() + "\">";
        words(3 + random_.below(25));
        text_ += ".</" + tag + ">\n";
    }
    void object() {
        text_ += std::string("{\"") + word() + "\":" + number(100000) + ",\"" + word() + "\":\"";
        words(1 + random_.below(6));
        text_ += "\"},";
    }
    void statement() {
        text_ += std::string("function ") + word() + "(" + word() + ") { var " + word() + " = " +
                 number(1000) + "; return this." + word() + "[\"" + word() + "\"]; }\n";
    }
    void picture() {
        for (int i = 0; i < 64; ++i)
            text_ += static_cast<char>(random_.next());
    }

    static constexpr std::string_view kBase64 =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    Random random_;
    std::size_t enough_;
    std::string text_;
};

}  // namespace

std::string http_corpus(std::size_t bytes, std::uint64_t seed) {
    return Writer(bytes, seed).write();
}

}  // namespace sluice::patterns
