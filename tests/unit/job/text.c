/* A job as people read it, and the verdict on it. */
#include "../tap.h"

#include "job/text.h"

#define SPEC "{\"v\":1,\"operations\":[\"find\",\"hash\"],\"roots\":[\"/a\",\"/b\"]}"
#define ID "0192e4a0-0000-7000-8000-000000000000"

static struct job completed(void)
{
	return (struct job){.id = ID, .spec = (char *)(uintptr_t)SPEC, .state = JOB_COMPLETED};
}

static void progress_is(const struct job *job, bool with_state, const char *wanted)
{
	struct buf out = BUF_INIT;
	job_text_progress(&out, job, with_state);
	is_str(buf_cstr(&out), wanted, "its progress is %s", wanted);
	buf_release(&out);
}

TEST(description, "a specification becomes a line, a foreign one too")
{
	struct buf out = BUF_INIT;
	struct job job = completed();
	job_text_what(&out, &job);
	is_str(buf_cstr(&out), "find,hash /a /b", "operations and roots are named");
	buf_clear(&out);
	job.spec =
	        (char *)(uintptr_t) "{\"v\":9,\"operations\":[\"melt\"],\"roots\":[\"/\\u0007\"]}";
	job_text_what(&out, &job);
	is_str(buf_cstr(&out), "melt /\\007", "those of a newer version, too, and escaped");
	buf_release(&out);
}

TEST(progress, "a job's progress names its counts")
{
	struct job job = completed();
	job.summary = (char *)(uintptr_t) "{\"ledger\":{\"entries\":1234,\"errors\":1}}";
	progress_is(&job, true, "COMPLETED: 1,234 entries, 1 error");
	job.state = JOB_PROCESSING;
	job.summary = NULL;
	job.progress = (char *)(uintptr_t) "{\"entries\": 9007199254740993, \"bytes\": 2048}";
	progress_is(&job, true, "PROCESSING, 9,007,199,254,740,993 entries, 2.0 KiB");
	job.cancel_requested = true;
	progress_is(&job, false, "9,007,199,254,740,993 entries, 2.0 KiB, to be cancelled");
	job.progress = NULL;
	progress_is(&job, false, "to be cancelled");
}

TEST(verdict, "the verdict is what vega-walk would say")
{
	struct vega_error err = {0};
	struct job job = completed();
	is_int(job_verdict(&job, &err), 0, "COMPLETED is success");
	job.exit_code = 3;
	is_int(job_verdict(&job, &err), VEGA_PARTIAL, "with exit code 3 it is partial");
	job.state = JOB_FAILED;
	job.error = (char *)(uintptr_t) "no such file";
	is_int(job_verdict(&job, &err), VEGA_JOB_FAILED, "FAILED is a failure");
	is_str(err.text, "job " ID " failed: no such file", "with its reason");
	is_int(job_need_result(&job, &err), VEGA_JOB_FAILED, "and has no result");
	job.state = JOB_PENDING;
	is_int(job_verdict(&job, &err), 0, "PENDING is no failure");
	is_int(job_need_result(&job, &err), VEGA_NO, "and has no result yet");
}

TEST(fitting, "a text that does not fit is cut and marked")
{
	struct buf out = BUF_INIT;
	job_text_fit(&out, "abc", 3, 3);
	is_str(buf_cstr(&out), "abc", "one that fits is left alone");
	buf_clear(&out);
	job_text_fit(&out,
	        "ab\xc3\xa9"
	        "de",
	        6, 4);
	is_str(buf_cstr(&out), "ab\xc3\xa9>", "no character is cut apart");
	buf_release(&out);
}

TEST_MAIN
