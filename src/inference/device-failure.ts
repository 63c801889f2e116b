/** As ONNX Runtime reports what went wrong on a GPU: `CUDA failure 700: an illegal memory access …`, `CUDNN_FE failure 11: …`. */
const DEVICE =
  /\b(CUDA|CUDNN|CUDNN_FE|CUBLAS|CUBLASLT|CUFFT|CURAND) (failure \d+|error executing)|\bcudaError[A-Z]\w+|TensorRT EP .*failed/i;
/** A run that found no memory leaves the device as it was. */
const OUT_OF_MEMORY = /out of memory|failed to allocate memory|ALLOC_FAILED|cudaErrorMemoryAllocation/i;

/**
 * Whether an error of a run says that the device itself is not to be trusted any more, rather than that this one run was
 * asked too much. Most errors of CUDA are of that kind: every later call in the same process fails too.
 */
export function isDeviceFailure(thrown: unknown): boolean {
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return DEVICE.test(message) && !OUT_OF_MEMORY.test(message);
}
