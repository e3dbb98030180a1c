/* Filters from files, which may be anybody's and anything. Nothing else of this room looks at a
 * filter that program_check() has not passed. The rules are those of bpf_check_classic() and
 * seccomp_check_filter(). */
#include "seccomp/program.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int program_read(const char *path, struct sock_filter **out, unsigned short *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), err = 0;
	struct sock_filter *insns = NULL;
	struct stat st;
	ssize_t n;

	*out = NULL;
	*len = 0;
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		err = -errno;
	else if (!S_ISREG(st.st_mode) || st.st_size == 0 || st.st_size % (off_t)sizeof(*insns))
		err = -EINVAL;
	else if (st.st_size > (off_t)(BPF_MAXINSNS * sizeof(*insns)))
		err = -E2BIG;
	if (err)
		goto out;
	insns = calloc(1, (size_t)st.st_size);
	err = insns ? 0 : -ENOMEM;
	if (err)
		goto out;
	n = pread(fd, insns, (size_t)st.st_size, 0);
	if (n != st.st_size) {
		err = n < 0 ? -errno : -EINVAL;
		goto out;
	}
	*out = insns;
	*len = (unsigned short)((size_t)st.st_size / sizeof(*insns));
	insns = NULL;
out:
	free(insns);
	close(fd);
	return err;
}

static const uint16_t known_codes[] = {
	BPF_LD | BPF_W | BPF_ABS,
	BPF_LD | BPF_W | BPF_LEN,
	BPF_LDX | BPF_W | BPF_LEN,
	BPF_LD | BPF_IMM,
	BPF_LDX | BPF_IMM,
	BPF_LD | BPF_MEM,
	BPF_LDX | BPF_MEM,
	BPF_ST,
	BPF_STX,
	BPF_MISC | BPF_TAX,
	BPF_MISC | BPF_TXA,
	BPF_RET | BPF_K,
	BPF_RET | BPF_A,
	BPF_ALU | BPF_ADD | BPF_K,
	BPF_ALU | BPF_ADD | BPF_X,
	BPF_ALU | BPF_SUB | BPF_K,
	BPF_ALU | BPF_SUB | BPF_X,
	BPF_ALU | BPF_MUL | BPF_K,
	BPF_ALU | BPF_MUL | BPF_X,
	BPF_ALU | BPF_DIV | BPF_K,
	BPF_ALU | BPF_DIV | BPF_X,
	BPF_ALU | BPF_AND | BPF_K,
	BPF_ALU | BPF_AND | BPF_X,
	BPF_ALU | BPF_OR | BPF_K,
	BPF_ALU | BPF_OR | BPF_X,
	BPF_ALU | BPF_XOR | BPF_K,
	BPF_ALU | BPF_XOR | BPF_X,
	BPF_ALU | BPF_LSH | BPF_K,
	BPF_ALU | BPF_LSH | BPF_X,
	BPF_ALU | BPF_RSH | BPF_K,
	BPF_ALU | BPF_RSH | BPF_X,
	BPF_ALU | BPF_NEG,
	BPF_JMP | BPF_JA,
	BPF_JMP | BPF_JEQ | BPF_K,
	BPF_JMP | BPF_JEQ | BPF_X,
	BPF_JMP | BPF_JGE | BPF_K,
	BPF_JMP | BPF_JGE | BPF_X,
	BPF_JMP | BPF_JGT | BPF_K,
	BPF_JMP | BPF_JGT | BPF_X,
	BPF_JMP | BPF_JSET | BPF_K,
	BPF_JMP | BPF_JSET | BPF_X,
};

static bool is_known(uint16_t code)
{
	for (size_t i = 0; i < sizeof(known_codes) / sizeof(known_codes[0]); i++)
		if (known_codes[i] == code)
			return true;
	return false;
}

/* One instruction by itself, REST of them behind it. */
static const char *check_one(const struct sock_filter *insn, size_t rest)
{
	if (!is_known(insn->code))
		return "no instruction that a seccomp filter may use";
	if (insn->code == (BPF_LD | BPF_W | BPF_ABS) &&
	    (insn->k >= sizeof(struct seccomp_data) || insn->k & 3))
		return "loads from outside the call's data";
	if (insn->code == (BPF_ALU | BPF_DIV | BPF_K) && insn->k == 0)
		return "divides by zero";
	if ((insn->code == (BPF_ALU | BPF_LSH | BPF_K) ||
	     insn->code == (BPF_ALU | BPF_RSH | BPF_K)) &&
	    insn->k >= 32)
		return "shifts by more than a word";
	if ((insn->code == (BPF_LD | BPF_MEM) || insn->code == (BPF_LDX | BPF_MEM) ||
	     insn->code == BPF_ST || insn->code == BPF_STX) &&
	    insn->k >= BPF_MEMWORDS)
		return "uses a memory cell that there is not";
	if (insn->code == (BPF_JMP | BPF_JA) && insn->k >= rest)
		return "jumps past the end";
	if (BPF_CLASS(insn->code) == BPF_JMP && insn->code != (BPF_JMP | BPF_JA) &&
	    (insn->jt >= rest || insn->jf >= rest))
		return "jumps past the end";
	return NULL;
}

/* No cell is read on any path that has not written it. */
static const char *check_cells(const struct sock_filter *insns, size_t len, size_t *at)
{
	static const char reason[] = "reads a memory cell that was not written";
	uint16_t *written = malloc(len * sizeof(*written)), now = 0;

	if (!written)
		return "cannot be checked: no memory";
	memset(written, 0xff, len * sizeof(*written));
	for (*at = 0; *at < len; (*at)++) {
		const struct sock_filter *insn = &insns[*at];

		now &= written[*at];
		if (insn->code == BPF_ST || insn->code == BPF_STX) {
			now |= (uint16_t)(1u << insn->k);
		} else if ((insn->code == (BPF_LD | BPF_MEM) ||
			    insn->code == (BPF_LDX | BPF_MEM)) &&
			   !(now & 1u << insn->k)) {
			free(written);
			return reason;
		} else if (insn->code == (BPF_JMP | BPF_JA)) {
			written[*at + 1 + insn->k] &= now;
			now = 0xffff;
		} else if (BPF_CLASS(insn->code) == BPF_JMP) {
			written[*at + 1 + insn->jt] &= now;
			written[*at + 1 + insn->jf] &= now;
			now = 0xffff;
		}
	}
	free(written);
	return NULL;
}

int program_check(const struct sock_filter *insns, size_t len, size_t *at, const char **reason)
{
	*at = 0;
	*reason = NULL;
	if (len == 0 || len > BPF_MAXINSNS) {
		*reason = "not 1 to 4096 instructions";
		return -EINVAL;
	}
	for (*at = 0; *at < len; (*at)++) {
		*reason = check_one(&insns[*at], len - *at - 1);
		if (*reason)
			return -EINVAL;
	}
	*at = len - 1;
	if (BPF_CLASS(insns[len - 1].code) != BPF_RET)
		*reason = "the last instruction does not return";
	else
		*reason = check_cells(insns, len, at);
	return *reason ? -EINVAL : 0;
}
