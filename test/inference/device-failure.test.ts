import { isDeviceFailure } from '../../src/inference/device-failure.js';

const error = (message: string) => new Error(message);

it.each([
  'Non-zero status code returned while running Conv node. Name:"/up.0/conv" Status Message: CUDA failure 700: an illegal memory access was encountered ; GPU=0 ; hostname=h ; file=conv.cc ; line=1 ; expr=cudaStreamSynchronize(stream);',
  'CUDNN failure 5000: CUDNN_STATUS_EXECUTION_FAILED ; GPU=0 ; hostname=h ; expr=cudnnConvolutionForward(…);',
  'CUBLAS failure 14: CUBLAS_STATUS_INTERNAL_ERROR ; GPU=0 ; hostname=h ; expr=cublasSgemm(…);',
  'CUDA error executing cudaMemcpy(dst_data, src_data, bytes, cudaMemcpyHostToDevice)',
  'CUDNN_FE failure 11: CUDNN_BACKEND_API_FAILED ; GPU=0 ; hostname=h ; file=conv.cc ; expr=graph->execute(…);',
  'cudaErrorIllegalAddress: an illegal memory access was encountered',
  'TensorRT EP execution context enqueue failed.',
])('takes this for a failure of the device: %s', (message) => {
  expect(isDeviceFailure(error(message))).toBe(true);
});

it.each([
  // One run asked too much; the next may fit.
  'CUDA failure 2: out of memory ; GPU=0 ; hostname=h ; expr=cudaMalloc((void**)&p, size);',
  'bfc_arena.cc:376 AllocateRawInternal Failed to allocate memory for requested buffer of size 1073741824',
  'CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0 ; hostname=h ; expr=cublasCreate(&handle);',
  'CUDNN failure 4: CUDNN_STATUS_ALLOC_FAILED ; GPU=0 ; hostname=h ; expr=cudnnCreate(&handle);',
  // A path is no failure.
  'onnxruntime/core/providers/cuda/tensor/concat.cc:42 the ranks differ: check failed',
  'Got invalid dimensions for input: x for the following indices index: 1 Got: 49 Expected: 50',
  'image: no face was found.',
])('does not take this for one: %s', (message) => {
  expect(isDeviceFailure(error(message))).toBe(false);
});
