// A request plugin for uWSGI, as small as one can be: replies as apps/hello does. The measure for our uwsgi and SCGI.

#include <uwsgi.h>

static int hello(struct wsgi_request* request) {
    static char status[] = "200 OK", type[] = "text/plain; charset=utf-8", body[] = "Hello, world!\n";
    if (uwsgi_parse_vars(request)) return -1;
    if (uwsgi_response_prepare_headers(request, status, sizeof status - 1)) return -1;
    if (uwsgi_response_add_content_type(request, type, sizeof type - 1)) return -1;
    if (uwsgi_response_add_content_length(request, sizeof body - 1)) return -1;
    uwsgi_response_write_body_do(request, body, sizeof body - 1);
    return UWSGI_OK;
}

struct uwsgi_plugin uwsgihello_plugin = {
    .name = "uwsgihello",
    .modifier1 = 0,
    .request = hello,
};
