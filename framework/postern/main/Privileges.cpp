#include "postern/main/Privileges.h"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace postern {

namespace {

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error(what + ": " + std::strerror(errno)); }

}

void dropPrivileges(const std::string& user, const std::string& group) {
    if (user.empty() && group.empty()) return;
    uid_t uid = ::getuid();
    gid_t gid = ::getgid();
    if (!user.empty()) {
        const auto* entry = ::getpwnam(user.c_str());
        if (!entry) throw std::runtime_error("no user named " + user);
        uid = entry->pw_uid;
        gid = entry->pw_gid;
    }
    if (!group.empty()) {
        const auto* entry = ::getgrnam(group.c_str());
        if (!entry) throw std::runtime_error("no group named " + group);
        gid = entry->gr_gid;
    }
    if (::geteuid() != 0) {
        if (uid == ::geteuid() && gid == ::getegid()) return;
        throw std::runtime_error("only root can become another user or group");
    }
    if (user.empty() ? ::setgroups(0, nullptr) != 0 : ::initgroups(user.c_str(), gid) != 0) fail("cannot set the groups");
    if (::setresgid(gid, gid, gid) != 0) fail("cannot become group " + group);
    if (::setresuid(uid, uid, uid) != 0) fail("cannot become user " + user);
    if (uid != 0 && ::setuid(0) == 0) throw std::runtime_error("privileges came back after they were dropped");
}

}
