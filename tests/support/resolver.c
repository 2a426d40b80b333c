/* Loaded before libc: what the name aws.test stands for is read from the file RESOLVER_FILE at each look-up, so that a test
   can change it while the program runs. An empty file is a server that does not answer. Each answer is noted, one a line,
   in RESOLVER_FILE.log. All other names go to libc. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int look_up(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    look_up *libc = (look_up *)dlsym(RTLD_NEXT, "getaddrinfo");
    const char *path = getenv("RESOLVER_FILE");
    if (path == NULL || node == NULL || strcmp(node, "aws.test") != 0) {
        return libc(node, service, hints, found);
    }
    char answer[64] = "", log[4096];
    FILE *file = fopen(path, "r");
    if (file != NULL) {
        if (fgets(answer, sizeof answer, file) == NULL) {
            answer[0] = 0;
        }
        fclose(file);
    }
    answer[strcspn(answer, "\n")] = 0;
    snprintf(log, sizeof log, "%s.log", path);
    file = fopen(log, "a");
    if (file != NULL) {
        fprintf(file, "%s\n", answer);
        fclose(file);
    }
    return answer[0] == 0 ? EAI_AGAIN : libc(answer, service, hints, found);
}
