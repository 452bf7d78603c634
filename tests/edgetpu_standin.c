/* A libedgetpu that behaves: a TFLite delegate that computes the network's pooling by itself, as long as the file that
 * EDGETPU_PLUGGED names is there. Without it no delegate is made, and one that was made answers no more.
 *
 * The structs are TFLite's own as far as they are used (tensorflow/lite/core/c/common.h, "semi-ABI stable"). */

#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct { int size; int data[]; } Ints;
typedef struct { int type; void *data; Ints *dims; float scale; int zero; int allocation; size_t bytes; void *rest[8]; } Tensor;
typedef struct { Ints *inputs, *outputs; } Node;
typedef struct Context Context;
typedef struct {
    void *(*init)(Context *, const char *, size_t);
    void (*free)(Context *, void *);
    int (*prepare)(Context *, Node *);
    int (*invoke)(Context *, Node *);
    const char *(*profiling)(const Context *, const Node *);
    int32_t builtin_code;
    const char *custom_name;
    int version;
    void *more[3];
} Registration;
typedef struct {
    void *data;
    int (*prepare)(Context *, void *);
    void *copy_from, *copy_to, *free_handle;
    int64_t flags;
    void *opaque;
} Delegate;
struct Context {
    size_t count;
    int (*plan)(Context *, Ints **);
    Tensor *tensors;
    void *within, *resize;
    void (*report)(Context *, const char *, ...);
    void *add;
    int (*node)(Context *, int, Node **, Registration **);
    int (*replace)(Context *, Registration, const Ints *, Delegate *);
};

enum { OK, ERROR, AVERAGE_POOL_2D = 1 };

static int plugged(void) {
    const char *file = getenv("EDGETPU_PLUGGED");
    return file && access(file, F_OK) == 0;
}

/* int8 [1, h, w, C] to its means, [1, 1, 1, C]. */
static int pool(Context *context, Node *node) {
    if (!plugged()) {
        context->report(context, "USB transfer error");
        return ERROR;
    }
    Tensor *from = &context->tensors[node->inputs->data[0]], *to = &context->tensors[node->outputs->data[0]];
    size_t channels = to->bytes, places = from->bytes / channels;
    for (size_t c = 0; c < channels; c++) {
        int sum = 0;
        for (size_t p = 0; p < places; p++) sum += ((int8_t *)from->data)[p * channels + c];
        ((int8_t *)to->data)[c] = (int8_t)((sum + (sum < 0 ? -1 : 1) * (int)places / 2) / (int)places);
    }
    return OK;
}

static int ready(Context *context, Node *node) { return (void)context, (void)node, OK; }

static int take(Context *context, void *delegate) {
    Ints *plan, *ours = malloc(sizeof(Ints) + sizeof(int));
    if (context->plan(context, &plan)) return ERROR;
    ours->size = 0;
    for (int i = 0; i < plan->size; i++) {
        Node *node;
        Registration *kind;
        if (context->node(context, plan->data[i], &node, &kind)) return ERROR;
        if (kind->builtin_code == AVERAGE_POOL_2D && !ours->size) ours->data[ours->size++] = plan->data[i];
    }
    Registration kernel = {.prepare = ready, .invoke = pool, .custom_name = "standin", .version = 1};
    return context->replace(context, kernel, ours, delegate);
}

Delegate *tflite_plugin_create_delegate(char **keys, char **values, size_t count, void (*report)(const char *)) {
    (void)keys, (void)values, (void)count;
    if (!plugged()) {
        report("no Edge TPU is plugged in");
        return NULL;
    }
    Delegate *made = calloc(1, sizeof *made);
    made->prepare = take;
    return made;
}

void tflite_plugin_destroy_delegate(Delegate *delegate) { free(delegate); }
