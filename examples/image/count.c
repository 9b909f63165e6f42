/* Counts the lines of a file and writes the number into another. */
#include <stdio.h>

int main(int argc, char **argv) {
    if (argc != 3) {
        fputs("usage: count INPUT OUTPUT\n", stderr);
        return 2;
    }
    FILE *in = fopen(argv[1], "rb");
    if (!in) {
        perror(argv[1]);
        return 1;
    }
    unsigned long lines = 0;
    for (int byte; (byte = getc(in)) != EOF;)
        lines += byte == '\n';
    if (ferror(in)) {
        perror(argv[1]);
        return 1;
    }
    FILE *out = fopen(argv[2], "wb");
    if (!out || fprintf(out, "%lu\n", lines) < 0 || fclose(out) != 0) {
        perror(argv[2]);
        return 1;
    }
    return 0;
}
