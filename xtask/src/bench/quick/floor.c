// The kernel's work of a strict sandbox by a bare program, once, with nothing decided, looked at or logged:
// namespaces, ids, a root of the same kinds of mounts, pivot, a filter of the same length, one exec.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void check(int failed, const char *what) {
    if (failed) {
        fprintf(stderr, "%s: %s\n", what, strerror(errno));
        _exit(1);
    }
}

static void put(const char *path, const char *text) {
    int fd = open(path, O_WRONLY);
    check(fd < 0 || write(fd, text, strlen(text)) < 0, path);
    close(fd);
}

static void filter(void) {
    enum { LENGTH = 105 };
    struct sock_filter code[LENGTH];
    code[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0);
    for (int i = 1; i < LENGTH - 1; i++)
        code[i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xffff0000u + i, 0, 0);
    code[LENGTH - 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {LENGTH, code};
    check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges");
    check(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), "filter");
}

static void build(void) {
    const char *root = "/tmp";
    check(mount(0, "/", 0, MS_REC | MS_SLAVE, 0), "propagation");
    check(mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "size=64k,mode=755"), "root");
    check(chdir(root), "root");
    const char *folders[] = {"usr", "etc", "proc", "dev", "scratch", "output", "old"};
    for (unsigned i = 0; i < sizeof folders / sizeof *folders; i++) check(mkdir(folders[i], 0755), folders[i]);
    const char *links[] = {"bin", "sbin", "lib", "lib64"};
    for (unsigned i = 0; i < sizeof links / sizeof *links; i++) {
        char to[16];
        snprintf(to, sizeof to, "usr/%s", links[i]);
        check(symlink(to, links[i]), links[i]);
    }
    check(mount("/usr", "usr", 0, MS_BIND | MS_REC, 0), "usr");
    check(mount(0, "usr", 0, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, 0), "usr read-only");
    const char *devices[] = {"null", "zero", "full", "random", "urandom"};
    for (unsigned i = 0; i < sizeof devices / sizeof *devices; i++) {
        char from[16], to[16];
        snprintf(from, sizeof from, "/dev/%s", devices[i]);
        snprintf(to, sizeof to, "dev/%s", devices[i]);
        close(open(to, O_CREAT | O_WRONLY, 0644));
        check(mount(from, to, 0, MS_BIND, 0), from);
    }
    check(mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "subset=pid"), "proc");
    check(mount("tmpfs", "scratch", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=64m"), "scratch");
    check(mount("tmpfs", "output", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=64m"), "output");
    check(syscall(SYS_pivot_root, ".", "old"), "pivot");
    check(chdir("/") || umount2("/old", MNT_DETACH), "old root");
    check(mount(0, "/", 0, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, 0), "root read-only");
}

static char stack[65536];

static int inside(void *gate) {
    char word;
    check(read(*(int *)gate, &word, 1) != 1, "gate");
    build();
    filter();
    execl("/bin/true", "true", (char *)0);
    check(1, "true");
    return 1;
}

int main(void) {
    int gate[2];
    check(pipe(gate), "pipe");
    int flags = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
    pid_t child = clone(inside, stack + sizeof stack, flags | SIGCHLD, &gate[0]);
    check(child < 0, "clone");
    char path[64], map[64];
    snprintf(path, sizeof path, "/proc/%d/setgroups", child);
    put(path, "deny");
    snprintf(path, sizeof path, "/proc/%d/uid_map", child);
    snprintf(map, sizeof map, "0 %d 1", getuid());
    put(path, map);
    snprintf(path, sizeof path, "/proc/%d/gid_map", child);
    snprintf(map, sizeof map, "0 %d 1", getgid());
    put(path, map);
    check(write(gate[1], "g", 1) != 1, "gate");
    int status;
    check(waitpid(child, &status, 0) < 0, "wait");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
