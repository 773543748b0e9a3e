/* Runs a signature of a SavedModel by TensorFlow's C API, in a process without Python.

   judge FOLDER IMAGES INPUT TYPE AXIS,AXIS,... OUTPUT...

   IMAGES is a file of pixels in C order. INPUT and OUTPUT are tensors, as OPERATION:INDEX. TYPE is
   float or uint8. Every output is written as one line: its bytes as hexadecimal digits. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/c/c_api.h"

enum { MAX_OUTPUTS = 16, MAX_AXES = 8 };

static void check(TF_Status *status, const char *what) {
  if (TF_GetCode(status) != TF_OK) {
    fprintf(stderr, "%s: %s\n", what, TF_Message(status));
    exit(1);
  }
}

static TF_Output find(TF_Graph *graph, const char *tensor) {
  char name[1024];
  snprintf(name, sizeof name, "%s", tensor);
  char *colon = strrchr(name, ':');
  if (colon == NULL) {
    fprintf(stderr, "expected OPERATION:INDEX, got %s\n", tensor);
    exit(1);
  }
  *colon = '\0';
  TF_Output output = {TF_GraphOperationByName(graph, name), atoi(colon + 1)};
  if (output.oper == NULL) {
    fprintf(stderr, "no operation %s\n", name);
    exit(1);
  }
  return output;
}

int main(int argc, char **argv) {
  if (argc < 7 || argc - 6 > MAX_OUTPUTS) {
    fprintf(stderr, "judge FOLDER IMAGES INPUT TYPE AXES OUTPUT...\n");
    return 1;
  }
  TF_Status *status = TF_NewStatus();
  TF_Graph *graph = TF_NewGraph();
  TF_SessionOptions *options = TF_NewSessionOptions();
  const char *tags[] = {"serve"};
  TF_Session *session = TF_LoadSessionFromSavedModel(
      options, NULL, argv[1], tags, 1, graph, NULL, status);
  check(status, "load");

  TF_DataType type = strcmp(argv[4], "uint8") ? TF_FLOAT : TF_UINT8;
  size_t size = TF_DataTypeSize(type);
  int64_t axes[MAX_AXES];
  int rank = 0;
  for (char *axis = strtok(argv[5], ","); axis && rank < MAX_AXES; axis = strtok(NULL, ",")) {
    axes[rank] = atoll(axis);
    size *= (size_t)axes[rank++];
  }
  TF_Tensor *images = TF_AllocateTensor(type, axes, rank, size);
  FILE *file = fopen(argv[2], "rb");
  if (file == NULL || fread(TF_TensorData(images), 1, size, file) != size) {
    fprintf(stderr, "expected %zu bytes in %s\n", size, argv[2]);
    return 1;
  }
  fclose(file);

  int count = argc - 6;
  TF_Output input = find(graph, argv[3]), outputs[MAX_OUTPUTS];
  TF_Tensor *found[MAX_OUTPUTS] = {NULL};
  for (int i = 0; i < count; i++) outputs[i] = find(graph, argv[6 + i]);
  TF_SessionRun(session, NULL, &input, &images, 1, outputs, found, count, NULL, 0, NULL, status);
  check(status, "run");
  for (int i = 0; i < count; i++) {
    const unsigned char *bytes = TF_TensorData(found[i]);
    for (size_t j = 0; j < TF_TensorByteSize(found[i]); j++) printf("%02x", bytes[j]);
    printf("\n");
    TF_DeleteTensor(found[i]);
  }
  TF_DeleteTensor(images);
  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  TF_DeleteSessionOptions(options);
  TF_DeleteGraph(graph);
  TF_DeleteStatus(status);
  return 0;
}
