// Nanoseconds of a 4 KiB read, a 4 KiB write, and an open with its close, as JSON; the argument is a folder.
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

int main(int count, char **words) {
    enum { ROUNDS = 200000 };
    static char page[4096];
    if (count < 2 || chdir(words[1])) return 1;
    int fd = open("loops", O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, page, sizeof page) != sizeof page) return 1;
    double begin = now();
    for (int i = 0; i < ROUNDS; i++)
        if (pread(fd, page, sizeof page, 0) != sizeof page) return 1;
    double reads = now();
    for (int i = 0; i < ROUNDS; i++)
        if (pwrite(fd, page, sizeof page, 0) != sizeof page) return 1;
    double writes = now();
    for (int i = 0; i < ROUNDS; i++) {
        int again = open("loops", O_RDONLY);
        if (again < 0) return 1;
        close(again);
    }
    double opens = now();
    unlink("loops");
    printf("{\"read\": %.0f, \"write\": %.0f, \"open_close\": %.0f}\n", (reads - begin) / ROUNDS, (writes - reads) / ROUNDS,
           (opens - writes) / ROUNDS);
    return 0;
}
