// A form: values of the query and the body, and a cookie that remembers who you are.

#include <postern/postern.h>

using namespace postern;

std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        switch (c) {
        case '&': out += "&amp;"; break;
        case '<': out += "&lt;"; break;
        case '>': out += "&gt;"; break;
        case '"': out += "&quot;"; break;
        default: out += c;
        }
    }
    return out;
}

std::string list(std::string_view title, const NameValues& values) {
    std::string out = "<h2>" + std::string(title) + "</h2><ul>";
    for (const auto& [name, value] : values) out += "<li>" + escaped(name) + " = " + escaped(value) + "</li>";
    return out + "</ul>\n";
}

void rememberName(Cgi& cgi) {
    // A cookie holds few characters: percent-encoding would do, but a name of plain letters needs none.
    const auto name = cgi.post("name");
    for (const char c : name)
        if (static_cast<unsigned char>(c) <= ' ' || c == '"' || c == ',' || c == ';' || c == '\\' || c == 127 || c < 0)
            throw HttpError(400, "a name of plain letters, please");
    cgi.setCookie("name", name);
    cgi.setResponseLocation(cgi.scriptName().empty() ? "/" : cgi.scriptName(), 303);
    cgi.close();
}

void form(Cgi& cgi) {
    if (cgi.pathInfo() == "/forget") {
        cgi.clearCookie("name");
        cgi.setResponseLocation(cgi.scriptName().empty() ? "/" : cgi.scriptName(), 303);
        return cgi.close();
    }
    if (cgi.pathInfo() != "/" && cgi.pathInfo() != "/show") throw HttpError(404);
    if (cgi.pathInfo() == "/" && cgi.requestMethod() == "POST") return rememberName(cgi);

    const auto name = cgi.cookie("name");
    cgi.write("<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Postern form</title>\n<h1>Hello, " +
                  (name.empty() ? "stranger" : escaped(name)) +
                  "</h1>\n<form method=\"post\"><label>Your name: <input name=\"name\"></label> <button>Remember</button></form>\n" +
                  "<p><a href=\"?a=1&amp;a=2\">A query</a> · <a href=\"forget\">Forget me</a></p>\n" +
                  list("get", cgi.get()) + list("post", cgi.post()) + list("cookies", cgi.cookies()),
              true);
}

POSTERN_MAIN(form)
