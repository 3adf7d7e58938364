// Whatever arrives on the control socket is a request or an error in words, in whatever pieces it
// arrives; a request that was understood survives being written and read again, and carrying it out
// never does more than fail.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "controlplane/service/audit_log.h"
#include "controlplane/service/protocol.h"
#include "controlplane/service/roles.h"
#include "controlplane/service/script.h"

using namespace sluice;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view bytes(reinterpret_cast<const char*>(data), size);
    // The files of the corpus leave the version out, so that they outlive it.
    std::string completed;
    if (bytes.starts_with('V')) {
        completed = "{\"version\":" + std::to_string(service::kProtocolVersion) + "," +
                    std::string(bytes.substr(1));
        bytes = completed;
    }

    service::FrameReader reader;
    reader.append(bytes.substr(0, size / 2));
    for (int half = 0; half < 2; ++half) {
        for (;;) {
            const auto message = reader.next();
            if (!message || !*message)
                break;
        }
        reader.append(bytes.substr(size / 2));
    }

    const auto response = service::decode_response(bytes);
    if (response) {
        const auto again = service::decode_response(service::encode(*response));
        if (!again || !(*again == *response))
            std::abort();
    }

    const auto piece = service::decode_piece(bytes);
    if (piece) {
        const auto again = service::decode_piece(service::encode(*piece));
        if (!again || !(*again == *piece))
            std::abort();
    }

    const auto request = service::decode_request(bytes);
    if (!request) {
        if (request.error().message.empty())
            std::abort();
        return 0;
    }
    const auto again = service::decode_request(service::encode(*request));
    if (!again || !(*again == *request))
        std::abort();
    // What is written down about it is one line, and not a long one; nothing that changes something
    // is for readers.
    std::string line;
    service::AuditLog audit([&line](const std::string& text) { line = text; }, nullptr);
    audit.recorded(*request, {}, 0, [](const service::Response&) {})({});
    const auto saves = [](const service::Operation& operation) {
        const auto* history = std::get_if<service::HistoryOperation>(&operation.what);
        return history != nullptr && history->kind == service::HistoryOperation::Kind::save;
    };
    const bool changes =
        request->apply || std::any_of(request->operations.begin(), request->operations.end(),
                                      [&](const service::Operation& operation) {
                                          return service::changes_something(operation) ||
                                                 saves(operation);
                                      });
    if (changes != (service::needed_for(*request) > service::Role::read) ||
        line.empty() == changes || line.size() > 6 * service::kLongestText ||
        line.find_first_of("\n\x1b") != std::string::npos)
        std::abort();
    const ruleset::Ruleset empty(false, 64);
    const auto outcome =
        service::run_script(*request, empty, [](std::uint32_t) { return service::RuleTotals{}; });
    if (outcome && outcome->results.size() != request->operations.size())
        std::abort();
    return 0;
}
