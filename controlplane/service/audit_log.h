// Who changed what: one line for every change, and for every request that somebody's role did not
// allow.
//
//     audit: uid=1000 user=alice pid=4711 role=admin generation=42->43 status=0 did="add 100 …"
//
// What was done is shortened to kLongestText characters; control characters, quotes and what is not
// ASCII are escaped, so a line stays a line whatever a rule says. A change that is refused has
// another status than 0 and says why. The generation before is that of the last answer, or of when
// the request came if that is later; our own changes (rules that expire) may lie in between.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "controlplane/log/log_sinks.h"
#include "controlplane/service/control_server.h"
#include "controlplane/service/roles.h"

namespace sluice::service {

inline constexpr std::size_t kLongestText = 400;

// In the words of ipfw, as far as kLongestText.
std::string described(const Request& request);

// Of the users of this machine: a directory elsewhere may let us wait, and everybody with us. `?`:
// there is none.
std::string user_name(uid_t user);

class AuditLog {
  public:
    using Report = std::function<void(const std::string& line)>;

    // Lines go to `report` and, if there is one, to `file`.
    AuditLog(Report report, std::unique_ptr<log::LogSink> file)
        : report_(std::move(report)), file_(std::move(file)) {}

    // The same reply, which also writes the line. Requests that only read have none. The log
    // outlives the reply.
    ControlServer::Reply recorded(const Request& request, const Peer& peer,
                                  std::uint64_t generation, ControlServer::Reply reply);

    void refused(const Request& request, const Peer& peer, const Error& error);

    void reopen();

  private:
    void write(const Peer& peer, std::uint64_t before, std::uint64_t after, ExitStatus status,
               const std::string& did, const std::string& message);

    Report report_;
    std::unique_ptr<log::LogSink> file_;
    std::uint64_t last_generation_ = 0;
};

}  // namespace sluice::service
